{{- define "portolan.labels" -}}
app.kubernetes.io/name: portolan
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "portolan.selector" -}}
app.kubernetes.io/name: portolan
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}
{{- define "portolan.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- /* Cluster-wide names carry the namespace, so that two releases never share a role. */ -}}
{{- define "portolan.clusterName" -}}
{{ printf "%s-%s-operator" .Release.Namespace .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
