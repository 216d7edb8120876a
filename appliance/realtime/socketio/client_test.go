package socketio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// scenarios is how many results the script has to report: twelve for each of three choices of
// transport, and one more.
const scenarios = 3*12 + 1

// TestStockClient lets socket.io-client from npm try everything over each transport.
func TestStockClient(t *testing.T) {
	t.Parallel()
	installClient(t)
	n := newClientNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "client.mjs", n.http.URL)
	script.Dir = clientDir
	var complaints bytes.Buffer
	script.Stderr = &complaints
	output, err := script.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, output, complaints.Bytes())
	}
	if count := reportScenarios(t, output); count != scenarios {
		t.Errorf("%d scenarios were reported, want %d", count, scenarios)
	}
	eventually(t, "every connection is gone", func() bool { return n.Connections() == 0 })
}

var clientDir = filepath.Join("testdata", "client")

// installClient makes sure of node_modules. Only a machine without Node skips.
func installClient(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if _, err := os.Stat(filepath.Join(clientDir, "node_modules", "socket.io-client")); err == nil {
		return
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = clientDir
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
}

func reportScenarios(t *testing.T, output []byte) int {
	t.Helper()
	count := 0
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); count++ {
		var result struct {
			Name  string
			Error *string
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		t.Run(result.Name, func(t *testing.T) {
			if result.Error != nil {
				t.Error(*result.Error)
			}
		})
	}
	return count
}

// newClientNode has the events that the script asks the server to do things with.
func newClientNode(t *testing.T) *node {
	n := newNode(t, func(c *Config) {
		c.PingInterval, c.PingTimeout = 200*time.Millisecond, 3*time.Second
		c.MaxConnectionsPerSession = 100
	})
	n.Namespace("/private").OnConnect(func(s *Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil || auth.Token != "right" {
			return &ConnectError{Message: "the token is wrong", Data: map[string]string{"hint": "ask for another"}}
		}
		return nil
	})
	n.OnEvent("ask me", askBack)
	n.OnEvent("drop me", func(_ context.Context, e *Event) {
		e.Socket().peer.session.finish(ReasonForcedClose, nil, false)
	})
	n.OnEvent("revoke me", func(_ context.Context, e *Event) {
		n.DisconnectIf(func(s *Socket) bool { return s == e.Socket() })
	})
	n.OnEvent("join", func(_ context.Context, e *Event) {
		var room string
		if err := errors.Join(e.Bind(&room), e.Socket().Join(room), e.Ack()); err != nil {
			t.Error(err)
		}
	})
	n.OnEvent("tell", func(_ context.Context, e *Event) {
		var room, what string
		if err := e.Bind(&room, &what); err != nil {
			t.Error(err)
		}
		if err := errors.Join(n.To(room).Emit("news", what), e.Ack()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// askBack asks its client a question, waits some milliseconds, and acknowledges with the answer.
func askBack(ctx context.Context, e *Event) {
	var number, milliseconds int
	if err := e.Bind(&number, &milliseconds); err != nil {
		_ = e.Ack(err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(milliseconds)*time.Millisecond)
	defer cancel()
	answer, err := e.Socket().EmitAck(ctx, "question", number)
	if err != nil {
		_ = e.Ack(err.Error())
		return
	}
	_ = e.Ack(answer.Values())
}
