package actor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// TestRecorded: rights and requests stay with the actor, records name what acts.
func TestRecorded(t *testing.T) {
	t.Parallel()
	ann := actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ann", Session: id.New(), RequestID: "r", BreakGlass: id.New()}
	if r := ann.Recorded(); r.ID != ann.ID || r.OnBehalfOf != (actor.Principal{}) {
		t.Errorf("%+v", r)
	}
	through := ann.Through("DeployWorkflow")
	if through.Kind != actor.User || through.ID != ann.ID {
		t.Errorf("rights moved to the part: %+v", through)
	}
	r := through.Through("PurgeWorkflow").Recorded()
	if r.Kind != actor.System || !r.ID.IsZero() || r.Name != "PurgeWorkflow" || r.OnBehalfOf != ann.Principal() || r.Agent != (actor.Agent{}) {
		t.Errorf("%+v", r)
	}
	if r.Session != ann.Session || r.RequestID != "r" || r.BreakGlass != ann.BreakGlass {
		t.Errorf("what it came from is lost: %+v", r)
	}
	bob := actor.Actor{Kind: actor.User, Name: "Bob"}.By(actor.With(t.Context(), through)).Recorded()
	if bob.Name != "DeployWorkflow" || bob.OnBehalfOf.Name != "Bob" {
		t.Errorf("what acts for Ann acts for Bob now: %+v", bob)
	}
	part := actor.Actor{Kind: actor.System, Name: "collector"}
	if r := part.Through("CollectWorkflow").Recorded(); r.Name != "collector" || r.OnBehalfOf != (actor.Principal{}) {
		t.Errorf("a part acts for nobody: %+v", r)
	}
}

// TestSudoIsAClaim: what the environment says is never more than a claim, and
// stays with what the console begins.
func TestSudoIsAClaim(t *testing.T) {
	t.Setenv("SUDO_USER", "olga")
	want := actor.Principal{Kind: actor.OSUser, Name: "olga", Claimed: true}
	if a := actor.AtConsole(); a.Kind != actor.Console || a.OnBehalfOf != want || a.Through("X").Recorded().OnBehalfOf != want {
		t.Errorf("%+v", a)
	}
	t.Setenv("SUDO_USER", "")
	raw, err := json.Marshal(actor.AtConsole())
	if err != nil || string(raw) != `{"kind":"console","name":"console","address":"console"}` {
		t.Errorf("%s %v", raw, err)
	}
	if a := actor.Claiming(strings.Repeat("x", 1000)); len(a.OnBehalfOf.Name) != 256 {
		t.Errorf("%d", len(a.OnBehalfOf.Name))
	}
	if a := actor.Claiming(strings.Repeat("x", 255) + "é\xff"); a.OnBehalfOf.Name != strings.Repeat("x", 255) {
		t.Errorf("a name that is cut is no text: %q", a.OnBehalfOf.Name)
	}
}
