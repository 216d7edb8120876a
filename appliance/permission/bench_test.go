package permission

import (
	"fmt"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// BenchmarkDecide answers a question over ten to ten thousand grants, without
// a condition and with one.
func BenchmarkDecide(b *testing.B) {
	a := &actor.Actor{Kind: actor.User, ID: id.New(), MFA: true}
	on := &Resource{Kind: "stack", Attributes: map[string]any{"environment": "test"}}
	for _, n := range []int{10, 100, 1000, 10_000} {
		for name, condition := range map[string]string{"plain": "", "condition": `actor.mfa && resource.attributes.environment == "test"`} {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				sources := plain(Grant{Permission: "deployment:*:read", Effect: Allow, Condition: condition})
				for i := 1; i < n; i++ {
					sources = append(sources, plain(Grant{Permission: fmt.Sprintf("d%d:r%d:%s", i%97, i%31, []string{"read", "*", fmt.Sprint("a", i)}[i%3]), Effect: Allow})...)
				}
				rights := compiled(b, sources)
				b.ReportAllocs()
				for b.Loop() {
					q, _ := question("deployment:stack:read")
					ask := asked{parts: q, text: "deployment:stack:read", actor: a, on: on}
					if _, allowed := rights.decide(&ask); !allowed {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}

// TestPlainQuestionsDoNotAllocate keeps the way of most questions free of
// garbage.
func TestPlainQuestionsDoNotAllocate(t *testing.T) {
	rights := compiled(t, plain(Grant{Permission: "deployment:*:read", Effect: Allow}, Grant{Permission: "*:*:*", Effect: Deny}))
	if n := testing.AllocsPerRun(100, func() { rights.Allowed("deployment:stack:read") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
