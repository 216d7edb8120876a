package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// childEnv makes the test binary a recorder on that directory.
const childEnv = "NIMBUS_TEST_RECORDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "recorder:", recordForEver(dir))
		os.Exit(1)
	}
	if dir := os.Getenv(exporterEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "exporter:", exportSlowly(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// recordForEver starts database and trail, verifies the chain, and then has
// callers record and print what was acknowledged, until it is killed.
func recordForEver(dir string) error {
	ctx := actor.AsSystem(context.Background(), "test", id.ID{})
	s, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	v, err := s.verify(ctx, id.ID{})
	if err != nil {
		return err
	}
	if !v.OK() || v.Last != v.Checked {
		return fmt.Errorf("the chain does not hold: %+v", v)
	}
	acknowledged := make(chan string, callers)
	for range callers {
		go func() {
			for {
				mine := id.New().String()
				if s.RecordAlone(ctx, id.ID{}, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", ID: mine}}) == nil {
					acknowledged <- mine
				}
			}
		}()
	}
	out := bufio.NewWriterSize(os.Stdout, 1) // each line at once
	for mine := range acknowledged {
		if _, err := fmt.Fprintln(out, mine); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return errors.New("nobody records any more")
}

// rounds is how often the recorder is killed.
const rounds = 50

// TestRobustness01RecorderKilled kills database and recorder, the whole process
// group at once, 50 times under the load of 64 callers: every acknowledged
// record is in the chain in the end, which has neither gap nor break.
func TestRobustness01RecorderKilled(t *testing.T) {
	dir := serverDir(t)
	acknowledged := map[string]bool{}
	for round := range rounds {
		before := len(acknowledged)
		killedWhileRecording(t, dir, 300, acknowledged)
		if len(acknowledged) == before {
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
	}
	s, err := startServer(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx := context.Background()
		_ = s.Service.Stop(ctx)
		s.DB.Close()
		_ = s.Server.Stop(ctx)
	}()
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	v, err := s.verify(ctx, id.ID{})
	if err != nil || !v.OK() || v.First != 1 || v.Last != v.Checked {
		t.Fatalf("%+v %v", v, err)
	}
	for _, target := range sealedTargets(t, s.Service, ctx) {
		delete(acknowledged, target)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged records are lost", len(acknowledged))
	}
	t.Logf("%d records in the chain", v.Checked)
}

// killedWhileRecording runs a recorder until enough is acknowledged.
func killedWhileRecording(t *testing.T, dir string, enough int, acknowledged map[string]bool) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	stuck := time.AfterFunc(time.Minute, func() { _ = command.Process.Signal(syscall.SIGQUIT) }) // it says where
	defer stuck.Stop()
	reader, got := bufio.NewReader(out), 0
	for {
		line, err := reader.ReadString('\n')
		if err != nil { // a line that was cut off was not acknowledged to anybody
			break
		}
		acknowledged[strings.TrimSpace(line)] = true
		if got++; got == enough {
			kill()
		}
	}
	kill()
	_ = command.Wait()
	if got < enough {
		t.Fatalf("the recorder ended by itself after %d records", got)
	}
}

func sealedTargets(t *testing.T, s *Service, ctx context.Context) (all []string) {
	t.Helper()
	err := s.in(ctx, id.ID{}, func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, `select array_agg(target_id) from audit_entry`).Scan(&all)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
