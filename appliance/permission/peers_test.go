package permission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// peerPolicy, peerQuestion and peerSet are what peerbench reads.
type peerPolicy struct {
	Domain, Resource, Action string
	Deny, Conditional        bool
}

type peerQuestion struct {
	Domain, Resource, Action string
	MFA                      bool
	Environment              string
}

type peerSet struct {
	Policies  []peerPolicy
	Questions []peerQuestion
	Budget    time.Duration
}

type peerResult struct {
	Engine  string
	NsPerOp float64
	Answers []bool
}

const peerCondition = `actor.mfa && resource.attributes.environment == "test"`

// newPeerSet makes policies that every engine understands in the same way:
// allowances, a few denials that beat them, and wildcards. With conditions,
// every allowance has one.
func newPeerSet(n int, conditional bool) peerSet {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	s := peerSet{Budget: 300 * time.Millisecond}
	word := func(kind string, of int) string { return fmt.Sprint(kind, r.IntN(of)) }
	wild := func(text string, every int) string {
		if r.IntN(every) == 0 {
			return "*"
		}
		return text
	}
	// As many words as give most questions one or two grants that match.
	words := max(3, n/40)
	for range n {
		p := peerPolicy{Domain: word("d", words), Resource: wild(word("r", 20), 10), Action: wild(word("a", 10), 10)}
		if p.Deny = r.IntN(12) == 0; !p.Deny {
			p.Conditional = conditional
		}
		s.Policies = append(s.Policies, p)
	}
	for range 200 {
		q := peerQuestion{Domain: word("d", words), Resource: word("r", 20), Action: word("a", 10), MFA: r.IntN(8) > 0, Environment: "test"}
		s.Questions = append(s.Questions, q)
	}
	return s
}

func (s peerSet) sources() []Source {
	var all []Source
	for _, p := range s.Policies {
		g := Grant{Permission: p.Domain + ":" + p.Resource + ":" + p.Action, Effect: Allow}
		if p.Deny {
			g.Effect, g.Hard = Deny, true
		}
		if p.Conditional {
			g.Condition = peerCondition
		}
		all = append(all, Source{Grant: g, Role: "role"})
	}
	return all
}

// peers asks the other engines in a process of their own.
func (s peerSet) peers(tb testing.TB) []peerResult {
	tb.Helper()
	in, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Stdin = "peerbench", bytes.NewReader(in)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%v: %s", err, failed.String())
	}
	var results []peerResult
	if err := json.Unmarshal(out, &results); err != nil {
		tb.Fatal(err)
	}
	return results
}

// BenchmarkPeers asks cedar-go, casbin and OPA the same questions over the same
// policies, holds their answers against ours, and prints how many times as
// long each takes.
func BenchmarkPeers(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		for name, conditional := range map[string]bool{"plain": false, "condition": true} {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) { benchPeers(b, newPeerSet(n, conditional)) })
		}
	}
}

func benchPeers(b *testing.B, s peerSet) {
	rights := compiled(b, s.sources())
	texts := make([]string, len(s.Questions))
	resources := make([]Resource, len(s.Questions))
	actors := make([]actor.Actor, len(s.Questions))
	for i, q := range s.Questions {
		texts[i] = q.Domain + ":" + q.Resource + ":" + q.Action
		resources[i] = Resource{Attributes: map[string]any{"environment": q.Environment}}
		actors[i] = actor.Actor{Kind: actor.User, ID: id.New(), MFA: q.MFA}
	}
	answer := func(i int) bool {
		parts, err := question(texts[i])
		if err != nil {
			b.Fatal(err)
		}
		ask := asked{parts: parts, text: texts[i], actor: &actors[i], on: &resources[i]}
		_, allowed := rights.decide(&ask)
		return allowed
	}
	i := 0
	for b.Loop() {
		answer(i % len(texts))
		i++
	}
	ours := float64(b.Elapsed()) / float64(b.N)
	b.StopTimer()
	for _, peer := range s.peers(b) {
		for i := range texts {
			if got := answer(i); got != peer.Answers[i] {
				b.Fatalf("%s says %v about %s, we say %v", peer.Engine, peer.Answers[i], texts[i], got)
			}
		}
		b.ReportMetric(peer.NsPerOp/ours, peer.Engine+"-ratio")
		b.ReportMetric(peer.NsPerOp, peer.Engine+"-ns")
	}
}
