package appliance_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
)

// TestRobustness03DiskFullThroughTheDoor fills the disk under a running
// appliance: changes are answered with 503, reading and signing in go on, health
// is red and says why, the trail tells, nobody gets in any more when half of the
// reserve is gone, and all goes on without a restart when there is room.
func TestRobustness03DiskFullThroughTheDoor(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := appliancetest.Dir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1g,mode=0755"); errors.Is(err, syscall.EPERM) {
		t.Skip("this container may not mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	_, connection := cluster(t, 1)
	process := appliancetest.Spawn(t, appliancetest.Child{Dir: dir, Connection: connection})
	admin := process.SignIn(t, "ada@example.com", process.Tenant)
	group := func(name string) (int, []byte) {
		return admin.Try(http.MethodPost, "/v1/groups", map[string]string{"name": name, "description": ""})
	}
	if status, body := group("before"); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}

	full := filepath.Join(dir, "ballast")
	leave(t, full, 200<<20)
	within(t, "changes are refused", func() bool { status, _ := group("perhaps"); return status == http.StatusServiceUnavailable })
	status, body := group("refused")
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) != nil || status != http.StatusServiceUnavailable || !strings.Contains(problem.Detail, "disk is nearly full") {
		t.Errorf("%d %s", status, body)
	}
	for range 20 {
		for _, path := range []string{"/v1/groups", "/v1/audit/records", "/v1/session"} {
			admin.Do(http.MethodGet, path, nil, http.StatusOK, nil)
		}
	}
	if status, body := admin.Try(http.MethodGet, "/readyz", nil); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "nearly full") {
		t.Errorf("health: %d %s", status, body)
	}

	process.SignIn(t, "ada@example.com", process.Root).Do(http.MethodDelete, "/v1/session", nil, http.StatusOK, nil)
	leave(t, full, 100<<20)
	stranger := map[string]string{"email": "ada@example.com", "password": "wrong"}
	within(t, "nobody gets in", func() bool {
		status, _ := admin.Try(http.MethodPost, "/v1/session", stranger)
		return status == http.StatusServiceUnavailable
	})

	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	within(t, "changes go on", func() bool { status, _ := group("after"); return status == http.StatusCreated })
	within(t, "health is green", func() bool { status, _ := admin.Try(http.MethodGet, "/readyz", nil); return status == http.StatusOK })
	_, groups := admin.Try(http.MethodGet, "/v1/groups", nil)
	if strings.Contains(string(groups), "refused") || !strings.Contains(string(groups), "before") {
		t.Errorf("groups: %s", groups)
	}
	provider := process.SignIn(t, "ada@example.com", process.Root)
	for _, event := range []string{"audit.trail.stopped", "audit.trail.recovered"} {
		within(t, event, func() bool {
			var page struct{ Items []struct{ Event string } }
			provider.Do(http.MethodGet, "/v1/audit/records?event="+event, nil, http.StatusOK, &page)
			return len(page.Items) == 1
		})
	}
}

// leave takes space with a file until so many bytes are free.
func leave(t *testing.T, path string, free int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-free); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited for: %s", what)
}
