{{- /*
The alert rules, the one source of the PrometheusRule, of the ConfigMap and of docs/operations/alerts.rules.yaml.

Only the leader shows objects. After a change of leader there is nothing for a moment, and for a while the last word of
the one before: so each value is the last within `handover`, and of two replicas the better word counts. Neither a gap
nor an old word fires or clears an alert.
*/ -}}
{{- define "portolan.rules" -}}
{{- $alerts := .Values.alerts }}
{{- $handover := $alerts.handover }}
{{- $host := printf "max by (namespace, name, hostname) (last_over_time(portolan_hostname_%%s[%s]))" $handover }}
{{- $fewest := printf "min by (namespace, name, hostname) (last_over_time(portolan_hostname_%%s[%s]))" $handover }}
{{- $object := printf "max by (namespace, name) (last_over_time(portolan_exposedport_%%s[%s]))" $handover }}
{{- $lifetime := printf "(%s - %s)" (printf $host "certificate_not_after_timestamp_seconds") (printf $host "certificate_not_before_timestamp_seconds") }}
{{- $of := `ExposedPort {{ $labels.namespace }}/{{ $labels.name }}` }}
{{- $hostname := `{{ $labels.hostname }}` }}
{{- $duration := `{{ $value | humanizeDuration }}` }}
groups:
- name: portolan
  rules:
  {{- with $alerts.renewalOverdue }}{{ if .enabled }}
  - alert: PortolanCertificateRenewalOverdue
    expr: |-
      time() - {{ printf $host "certificate_renewal_timestamp_seconds" }}
        > {{ .lifetimeFraction }} * {{ $lifetime }}
    {{- include "portolan.alert" (list $alerts . "PortolanCertificateRenewalOverdue") }}
      summary: The certificate of {{ $hostname }} is not renewed
      description: >-
        cert-manager was to renew the certificate of {{ $hostname }} ({{ $of }}) {{ $duration }} ago, and has not. It is
        served on until it expires.
  {{- end }}{{ end }}
  {{- with $alerts.certificateExpiring }}{{ if .enabled }}
  - alert: PortolanCertificateExpiring
    expr: |-
      (
          {{ printf $host "certificate_served_not_after_timestamp_seconds" }}
        or
          {{ printf $host "certificate_not_after_timestamp_seconds" }}
      ) - time()
        < clamp_max({{ .lifetimeFraction }} * {{ $lifetime }}, {{ .withinSeconds }})
    {{- include "portolan.alert" (list $alerts . "PortolanCertificateExpiring") }}
      summary: The certificate of {{ $hostname }} expires soon
      description: >-
        The certificate that visitors of {{ $hostname }} ({{ $of }}) are shown expires in {{ $duration }}; a negative time
        is how long ago it did. Browsers refuse it then.
  {{- end }}{{ end }}
  {{- with $alerts.certificateNotServed }}{{ if .enabled }}
  - alert: PortolanCertificateNotServed
    expr: {{ printf $host "certificate_served" }} == 0
    {{- include "portolan.alert" (list $alerts . "PortolanCertificateNotServed") }}
      summary: Proxies present another certificate for {{ $hostname }} than the stored one
      description: >-
        A proxy that takes requests does not present the certificate that is stored for {{ $hostname }} ({{ $of }}).
        Visitors are shown an older one until it does.
  {{- end }}{{ end }}
  {{- with $alerts.certificateIssuingFails }}{{ if .enabled }}
  - alert: PortolanCertificateIssuingFails
    expr: {{ printf $fewest "certificate_issuance_failures" }} > 0
    {{- include "portolan.alert" (list $alerts . "PortolanCertificateIssuingFails") }}
      summary: No certificate is issued for {{ $hostname }}
      description: >-
        The last {{ `{{ $value }}` }} attempts to issue a certificate for {{ $hostname }} ({{ $of }}) failed. cert-manager
        tries again, each time after a longer while.
  {{- end }}{{ end }}
  {{- with $alerts.hostnameWithoutCertificate }}{{ if .enabled }}
  - alert: PortolanHostnameWithoutCertificate
    expr: {{ printf $host "certificate_stored" }} == 0
    {{- include "portolan.alert" (list $alerts . "PortolanHostnameWithoutCertificate") }}
      summary: There is no certificate for {{ $hostname }}
      description: >-
        {{ $of }} is to serve {{ $hostname }} over HTTPS, and no certificate for it can be served, so handshakes fail.
  {{- end }}{{ end }}
  {{- with $alerts.exposureNotReady }}{{ if .enabled }}
  - alert: PortolanExposureNotReady
    # An object that was not accepted has no series by hostname.
    expr: |-
      {{ printf $host "ready" }} == 0
        or on (namespace, name)
      {{ printf $object "ready" }} == 0
    {{- include "portolan.alert" (list $alerts . "PortolanExposureNotReady") }}
      summary: {{ $of }} is not ready
      description: >-
        Requests to {{ `{{ with $labels.hostname }}{{ . }}{{ else }}any of its hostnames{{ end }}` }} ({{ $of }}) do not
        succeed, at every proxy or at some. The status of the object says why in a sentence.
  {{- end }}{{ end }}
  {{- with $alerts.noReadyEndpoints }}{{ if .enabled }}
  - alert: PortolanNoReadyEndpoints
    expr: {{ printf $object "endpoints_ready" }} == 0
    {{- include "portolan.alert" (list $alerts . "PortolanNoReadyEndpoints") }}
      summary: No pod takes the requests for {{ $of }}
      description: >-
        A route of {{ $of }} has no endpoint that is ready, so its requests are answered with 503.
  {{- end }}{{ end }}
  {{- with $alerts.proxiesBehind }}{{ if .enabled }}
  - alert: PortolanProxiesBehind
    expr: min by (class) (last_over_time(portolan_exposeclass_held_up_exposures[{{ $handover }}])) > 0
    {{- include "portolan.alert" (list $alerts . "PortolanProxiesBehind") }}
      summary: Proxies of class {{ `{{ $labels.class }}` }} do not follow
      description: >-
        {{ `{{ $value }}` }} ExposedPorts of class {{ `{{ $labels.class }}` }} wait for a proxy that takes requests and has
        not loaded the newest state, or cannot use it. It goes on serving what it had.
  {{- end }}{{ end }}
  {{- with $alerts.operatorDown }}{{ if .enabled }}
  - alert: PortolanOperatorDown
    expr: absent(max_over_time(portolan_operator_leader[{{ $handover }}]) > 0)
    {{- include "portolan.alert" (list $alerts . "PortolanOperatorDown") }}
      summary: No Portolan operator leads
      description: >-
        No operator was scraped that leads. Proxies go on serving what they have; pods that come, certificates that are
        renewed and objects that change reach them no more. No other alert of Portolan can fire meanwhile.
  {{- end }}{{ end }}
{{- end }}
{{- /* What every alert has: for how long, its labels, and the beginning of its annotations. */ -}}
{{- define "portolan.alert" -}}
{{- $alerts := index . 0 }}
{{- $alert := index . 1 }}
    for: {{ $alert.for }}
    labels:
      severity: {{ $alert.severity }}
      {{- with $alerts.labels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    annotations:
      runbook_url: {{ printf "%s%s.md" $alerts.runbooks (index . 2) }}
{{- end }}
