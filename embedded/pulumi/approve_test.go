package pulumi

import (
	"errors"
	"slices"
	"testing"
)

func TestApprovalIsBoundToThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("approve", 103, 1024)
	digest := ok(w.Preview(t.Context(), run, nil)).Plan.Digest

	other := w.vm("approve", 103, 2048)
	other.ExpectDigest = digest
	if _, err := w.Up(t.Context(), other, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("another configuration under the approval gives %v", err)
	}
	if n := w.creates(); n != 0 {
		t.Fatalf("%d machines were asked for", n)
	}
	run.ExpectDigest = digest
	ok(w.Up(t.Context(), run, nil))
	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("the approval used twice gives %v", err)
	}
	if _, err := w.Destroy(t.Context(), run, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("an update's approval used to destroy gives %v", err)
	}
	run.Destroy = true
	gone := ok(w.Preview(t.Context(), run, nil)).Plan
	wantChanges(t, gone, "delete web")
	run.ExpectDigest = gone.Digest
	ok(w.Destroy(t.Context(), run, nil))
}

func TestApprovalOutlivesAnUnrelatedState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("again", 105, 1024)
	run.ExpectDigest = ok(w.Preview(t.Context(), run, nil)).Plan.Digest
	refresh := run
	refresh.ExpectDigest = ""
	ok(w.Refresh(t.Context(), refresh, nil)) // writes the state anew
	ok(w.Up(t.Context(), run, nil))
	if got := w.cluster.Guests(); !slices.Equal(got, []int{105}) {
		t.Fatalf("guests are %v", got)
	}
}
