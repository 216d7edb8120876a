package provider_test

import (
	"slices"
	"testing"

	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// TestExamineSaysWhatATokenLacks asks the cluster by a token that may only
// read, and does not ask one that was never reached.
func TestExamineSaysWhatATokenLacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := b.connect()
	weak, err := b.sim.CreateToken("reader@pve", "weak", false, "PVEAuditor")
	must(t, err)
	n := b.entry("weak")
	n.TokenID, n.Secret = "reader@pve!weak", weak
	reader, err := b.Create(b.ann, n)
	must(t, err)
	b.collect(good)
	b.collect(reader)
	n = b.entry("new")
	_, err = b.Create(b.ann, n)
	must(t, err)

	all, err := b.Examine(t.Context(), []id.ID{b.tenant})
	must(t, err)
	found := map[string]provider.Examined{}
	for _, e := range all {
		found[e.Connection.Name] = e
	}
	if len(found) != 3 || found["home"].Err != nil || found["weak"].Err != nil {
		t.Fatalf("%+v", all)
	}
	lacks := func(name, privilege string) bool {
		return slices.ContainsFunc(found[name].Missing, func(p provider.Privilege) bool { return p.Privilege == privilege && !p.OK })
	}
	if !lacks("weak", "VM.Allocate") || lacks("home", "VM.Allocate") {
		t.Errorf("weak lacks %v, home lacks %v", found["weak"].Missing, found["home"].Missing)
	}
	if e := found["new"]; e.Connection.Status != provider.StatusUnknown || len(e.Missing) > 0 || e.Err != nil {
		t.Errorf("a connection that was never reached was asked: %+v", e)
	}
}
