// Who reaches whom under NetworkPolicies, as cyclonus's simulator has it: a cluster comes in on standard input,
// and every allowed way goes out.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Cluster is what decides about traffic.
type Cluster struct {
	// Namespaces has the labels of each.
	Namespaces map[string]map[string]string  `json:"namespaces"`
	Pods       []Pod                         `json:"pods"`
	Policies   []*networkingv1.NetworkPolicy `json:"policies"`
}

// Pod is one that may connect and be connected to.
type Pod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	// Ports has the name of each, perhaps empty, by its number.
	Ports map[int]string `json:"ports"`
}

// outside is no pod (RFC 5737).
const outside = "203.0.113.9"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var cluster Cluster
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cluster); err != nil {
		return fmt.Errorf("the cluster cannot be read: %w", err)
	}
	policy := matcher.BuildNetworkPolicies(false, cluster.Policies)
	sources := map[string]*matcher.TrafficPeer{"outside": {IP: outside}}
	for _, pod := range cluster.Pods {
		sources[pod.path()] = cluster.peer(pod)
	}
	ways := []string{}
	for name, source := range sources {
		for _, pod := range cluster.Pods {
			for number, port := range pod.Ports {
				traffic := matcher.Traffic{
					Source:           source,
					Destination:      cluster.peer(pod),
					ResolvedPort:     number,
					ResolvedPortName: port,
					Protocol:         corev1.ProtocolTCP,
				}
				if policy.IsTrafficAllowed(&traffic).IsAllowed() {
					ways = append(ways, fmt.Sprintf("%s -> %s:%d", name, pod.path(), number))
				}
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(ways)
}

func (pod Pod) path() string {
	return pod.Namespace + "/" + pod.Name
}

func (cluster Cluster) peer(pod Pod) *matcher.TrafficPeer {
	return &matcher.TrafficPeer{
		// Of no network that a policy names.
		IP: "198.51.100.1",
		Internal: &matcher.InternalPeer{
			PodLabels:       pod.Labels,
			NamespaceLabels: cluster.Namespaces[pod.Namespace],
			Namespace:       pod.Namespace,
		},
	}
}
