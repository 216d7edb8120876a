package provider_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func TestMarkTags(t *testing.T) {
	t.Parallel()
	stack, other := id.New(), id.New()
	tags := provider.MarkTags(stack, "Web", "a", "a", " ", "nimbus-"+other.Hex())
	if !slices.IsSorted(tags) || len(tags) != 4 || !slices.Contains(tags, "web") {
		t.Errorf("tags: %q", tags)
	}
	if found, ok := provider.MarkedBy(tags); !ok || found != stack {
		t.Errorf("marked by %v, %v", found, ok)
	}
	for name, tags := range map[string][]string{
		"nothing":        nil,
		"only for show":  {"nimbus"},
		"half of it":     {"nimbus-" + stack.Hex()},
		"two stacks":     {"nimbus", "nimbus-" + stack.Hex(), "nimbus-" + other.Hex()},
		"something like": {"nimbus", "nimbus-web", "nimbus-" + strings.Repeat("z", 32)},
	} {
		if found, ok := provider.MarkedBy(tags); ok {
			t.Errorf("%s: marked by %v", name, found)
		}
	}
}

func TestTwoCallersNeverGetTheSameNumber(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.connect()
	const callers = 8
	numbers := make([]int, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			n, err := b.Reserve(t.Context(), b.tenant, c.ID, id.New(), 0)
			if err != nil {
				t.Error(err)
			}
			numbers[i] = n
		})
	}
	wait.Wait()
	slices.Sort(numbers)
	if got := len(slices.Compact(numbers)); got != callers {
		t.Errorf("%d numbers for %d callers: %v", got, callers, numbers)
	}
}

func TestATakenNumberIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Node: "pve2"}))
	must(t, b.sim.SetNodeOffline("pve2", true))
	c, stack := b.connect(), id.New()
	if _, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 100); !fault.Is(err, fault.Conflict) {
		t.Errorf("a number on a node that is away: %v", err)
	}
	for _, r := range b.sim.Requests() {
		if r.Method != "GET" {
			t.Errorf("%s %s changed something", r.Method, r.Path)
		}
	}
	if n, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 0); err != nil || n != 101 {
		t.Errorf("a free one: %d, %v", n, err)
	}
}

func TestReservationsAreHeldRenewedAndReleased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, mine, other := b.connect(), id.New(), id.New()
	reserve := func(stack id.ID) error {
		_, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 150)
		return err
	}
	must(t, reserve(mine))
	must(t, reserve(mine))
	if err := reserve(other); !fault.Is(err, fault.Conflict) {
		t.Errorf("another stack: %v", err)
	}
	must(t, b.Release(t.Context(), c.ID, other, 150))
	if err := reserve(other); !fault.Is(err, fault.Conflict) {
		t.Errorf("after another stack has released what is not its own: %v", err)
	}
	must(t, b.Release(t.Context(), c.ID, mine, 0))
	must(t, reserve(other))
}

func TestOwnsOnlyWhatWasMadeByTheStack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, stack := b.connect(), id.New()
	marked := strings.Join(provider.MarkTags(stack), ";")
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Config: map[string]string{"tags": marked}}))
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 101}))
	for _, k := range []struct {
		number int
		stack  id.ID
		want   bool
	}{{100, stack, true}, {100, id.New(), false}, {101, stack, false}} {
		owned, err := b.Owns(t.Context(), b.tenant, c.ID, k.stack, k.number)
		if err != nil || owned != k.want {
			t.Errorf("%d: owned %v, %v", k.number, owned, err)
		}
	}
	if _, err := b.Owns(t.Context(), b.tenant, c.ID, stack, 999); !fault.Is(err, fault.NotFound) {
		t.Errorf("a number that nobody has: %v", err)
	}
	if err := b.Mark(t.Context(), b.tenant, c.ID, stack, 101); !fault.Is(err, fault.Conflict) {
		t.Errorf("marking a foreign machine: %v", err)
	}
	if cfg := b.sim.GuestConfig(101); cfg["tags"] != "" {
		t.Errorf("a foreign machine was changed: %v", cfg)
	}
}

func TestOwnsAMachineWhoseMakingWasInterrupted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, stack := b.connect(), id.New()
	number, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 0)
	must(t, err)
	b.createVM(number)
	if owned, err := b.Owns(t.Context(), b.tenant, c.ID, id.New(), number); err != nil || owned {
		t.Errorf("another stack: owned %v, %v", owned, err)
	}
	if _, half, err := b.HalfMade(t.Context(), b.tenant, c.ID, stack, number); err != nil || half {
		t.Errorf("what is whole is half made: %v", err)
	}
	must(t, b.Mark(t.Context(), b.tenant, c.ID, stack, number))
	b.collect(c)
	found := b.items(cmdb.Filter{Kind: cmdb.VM})
	if len(found) != 1 || !found[0].Managed || found[0].StackID != stack {
		t.Errorf("collected: %+v", found)
	}
}

// TestAMachineThatSomebodyElseMadeUnderOurNumberIsForeign has our machine removed
// on the cluster and another one made under its number, whole or in the middle.
func TestAMachineThatSomebodyElseMadeUnderOurNumberIsForeign(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, stack := b.connect(), id.New()
	secret, err := b.sim.CreateToken("carl@pve", "hand", false, "PVEAdmin")
	must(t, err)
	carl := "carl@pve!hand=" + secret
	number, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 0)
	must(t, err)
	b.createVM(number)
	owned := func() bool {
		t.Helper()
		is, err := b.Owns(t.Context(), b.tenant, c.ID, stack, number)
		must(t, err)
		return is
	}
	for range 500 { // its task ends a moment after it is there
		if b.sim.GuestConfig(number)["lock"] == "" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !owned() {
		t.Fatal("what our token made is not ours")
	}
	time.Sleep(time.Second) // tasks tell seconds
	b.call(carl, http.MethodDelete, "/nodes/pve1/qemu/"+strconv.Itoa(number), nil)
	for range 500 {
		if b.sim.GuestConfig(number) == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.createVMAs(carl, number)
	if owned() {
		t.Error("somebody else's machine counts as the stack's")
	}
	if err := b.Mark(t.Context(), b.tenant, c.ID, stack, number); !fault.Is(err, fault.Conflict) {
		t.Errorf("marking it: %v", err)
	}
}

// TestAMachineThatSomebodyElseIsMakingIsNotHalfMade has our making fail and
// somebody else begin under the same number: nobody is told to destroy that.
func TestAMachineThatSomebodyElseIsMakingIsNotHalfMade(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, stack := b.connect(), id.New()
	secret, err := b.sim.CreateToken("carl@pve", "hand", false, "PVEAdmin")
	must(t, err)
	number, err := b.Reserve(t.Context(), b.tenant, c.ID, stack, 0)
	must(t, err)
	b.sim.HangNextTask("qmcreate")
	b.beginVM(b.token(), number)
	must(t, b.sim.CutPower("pve1"))
	if g, half, err := b.HalfMade(t.Context(), b.tenant, c.ID, stack, number); err != nil || !half || g.Node != "pve1" {
		t.Fatalf("ours: %+v, %v, %v", g, half, err)
	}
	time.Sleep(time.Second) // tasks tell seconds
	must(t, b.sim.DeleteGuest(number))
	b.sim.HangNextTask("qmcreate")
	b.beginVM("carl@pve!hand="+secret, number)
	if g, half, err := b.HalfMade(t.Context(), b.tenant, c.ID, stack, number); err != nil || half {
		t.Errorf("somebody else's: %+v, %v, %v", g, half, err)
	}
}
