// Package systemd is how the appliance talks with the service manager that
// started it: readiness, a line of status, the watchdog, and credentials. The
// unit and its companions lie beside it. Without a service manager everything
// here does nothing.
package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Manager is the service manager; nil when there is none.
type Manager struct {
	socket   string
	watchdog time.Duration // 0: it does not watch
}

// FromEnvironment finds the service manager and forgets its variables, so that
// no child process speaks in our name.
func FromEnvironment() *Manager {
	socket := os.Getenv("NOTIFY_SOCKET")
	interval := watchdogInterval(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"))
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if socket == "" {
		return nil
	}
	return &Manager{socket: socket, watchdog: interval}
}

// watchdogInterval is within what time the manager wants to hear of this process.
func watchdogInterval(usec, pid string) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Ready tells that the service has started.
func (m *Manager) Ready(status string) { m.send("READY=1", statusLine(status)) }

// Status tells in one line what the service does.
func (m *Manager) Status(status string) { m.send(statusLine(status)) }

// Stopping tells that the service stops.
func (m *Manager) Stopping() { m.send("STOPPING=1", statusLine("Stopping")) }

const (
	extension    = 60 * time.Second
	longestPhase = 2 * time.Hour
)

// Extend tells the phase of a start and asks for more time, again and again until the
// returned function is called. There is no limit to a start that comes along: a database
// can take long to be brought up to date, and a slow machine for everything. Two hours in
// one phase are a start that hangs; then no more time is asked for. The watchdog is fed
// too: after a restore from the wizard the same process starts once more.
func (m *Manager) Extend(ctx context.Context, phase func() string) (stop func()) {
	return m.extend(ctx, phase, extension/4, longestPhase)
}

func (m *Manager) extend(ctx context.Context, phase func() string, every, longest time.Duration) (stop func()) {
	if m == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last string
		var since, told time.Time
		for more := true; more; more = sleep(ctx, every/50) {
			now := time.Now()
			if p := phase(); p != last || since.IsZero() {
				last, since, told = p, now, time.Time{}
			}
			if now.Sub(told) >= every && now.Sub(since) < longest {
				told = now
				m.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()), "WATCHDOG=1", statusLine("Starting: "+last))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Watch tells the status whenever it changes, and feeds the watchdog as long as alive
// returns no error, until ctx ends. A service that is not fed is restarted; the status
// then says why.
func (m *Manager) Watch(ctx context.Context, status func() string, alive func(context.Context) error) {
	if m == nil {
		return
	}
	every := time.Minute
	if m.watchdog > 0 {
		every = m.watchdog / 4
	}
	var asked time.Time
	var told string
	var fault error
	for more := true; more; more = sleep(ctx, min(every, time.Second)) {
		if time.Since(asked) >= every {
			asked = time.Now()
			if fault = alive(ctx); fault == nil && ctx.Err() == nil {
				m.send("WATCHDOG=1")
			}
		}
		now := status()
		if fault != nil {
			now = fault.Error()
		}
		if now != told && ctx.Err() == nil {
			m.Status(now)
			told = now
		}
	}
}

// sleep is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// statusLine keeps a status on its line: a further line would be another message.
func statusLine(status string) string {
	return "STATUS=" + strings.Join(strings.Fields(status), " ")
}

// send tries once: a manager that does not listen must not hold the service up.
func (m *Manager) send(lines ...string) {
	if m == nil {
		return
	}
	name := m.socket
	if strings.HasPrefix(name, "@") { // abstract
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}
