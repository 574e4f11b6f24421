// Command acmesolver answers HTTP-01 challenges: cert-manager's own solver behind its own flags.
package main

import (
	"flag"
	"log"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	"k8s.io/klog/v2"
)

func main() {
	s := &solver.HTTP01Solver{}
	flag.IntVar(&s.ListenPort, "listen-port", 8089, "port to answer on")
	flag.StringVar(&s.Domain, "domain", "", "the domain that is being proven")
	flag.StringVar(&s.Token, "token", "", "the challenge's token")
	flag.StringVar(&s.Key, "key", "", "the key authorisation to answer with")
	flag.Parse()
	log.Fatal(s.Listen(klog.Background()))
}
