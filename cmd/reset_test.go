package cmd

import (
	"io"
	"strings"
	"testing"

	"nimbus/appliance"
	"nimbus/appliance/fault"
)

func TestResetWantsTwoAnswers(t *testing.T) {
	r := appliance.Reset{Name: "Cellar", Dir: "/data", Deletes: []appliance.Deletion{{Name: "keys", Bytes: 100}}, External: true, Shared: "/srv/nimbus"}
	for typed, agreed := range map[string]bool{
		"Cellar\ndelete everything\n": true,
		"Cellar\ndelete everything":   true,
		"Cellar\nyes\n":               false,
		"cellar\ndelete everything\n": false,
		"Cellar\n":                    false,
		"":                            false,
	} {
		err := confirmReset(strings.NewReader(typed), io.Discard, r)
		if agreed != (err == nil) || !agreed && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	var out strings.Builder
	_ = confirmReset(strings.NewReader(""), &out, r)
	for _, want := range []string{"/data", "keys", "database on the other server", "/srv/nimbus", "Proxmox"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
