package pvesim

import (
	"fmt"
	"slices"
	"strings"
)

// faults are the misbehaviours that were ordered and have not happened yet.
type faults struct {
	failures map[string][]string
	hangs    map[string]int
	requests int
	status   int
}

func (f *faults) takeFailure(kind string) *string {
	texts := f.failures[kind]
	if len(texts) == 0 {
		return nil
	}
	f.failures[kind] = texts[1:]
	return &texts[0]
}

func (f *faults) takeHang(kind string) bool {
	if f.hangs[kind] == 0 {
		return false
	}
	f.hangs[kind]--
	return true
}

func (c *Cluster) plannedFault() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.requests == 0 {
		return 0
	}
	c.faults.requests--
	return c.faults.status
}

// change runs f on the locked cluster and keeps the result.
func (c *Cluster) change(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	return c.save()
}

// FailNextTask makes the next task of a type (qmcreate, qmstart, …) end with that exit status
// and without effect.
func (c *Cluster) FailNextTask(kind, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.failures == nil {
		c.faults.failures = map[string][]string{}
	}
	c.faults.failures[kind] = append(c.faults.failures[kind], text)
}

// HangNextTask makes the next task of a type run until it is stopped through the API, released
// with ReleaseTasks, or the cluster stops.
func (c *Cluster) HangNextTask(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.hangs == nil {
		c.faults.hangs = map[string]int{}
	}
	c.faults.hangs[kind]++
}

// ReleaseTasks lets every hanging task do its work.
func (c *Cluster) ReleaseTasks() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, live := range c.running {
		if live.hangs && !live.released {
			live.released = true
			close(live.release)
		}
	}
}

// FailNextRequests answers the next n requests with that status and nothing else.
func (c *Cluster) FailNextRequests(n, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.requests, c.faults.status = n, status
}

// Requests is the journal: the last one to two thousand requests, oldest first.
func (c *Cluster) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.journal)
}

// SetNodeOffline takes a node off the network or brings it back. Its guests go on running, and
// what is asked of it answers 595.
func (c *Cluster) SetNodeOffline(name string, offline bool) error {
	return c.change(func() error {
		n := c.state.Nodes[name]
		if n == nil {
			return fmt.Errorf("the simulated cluster has no node %q", name)
		}
		n.Offline = offline
		return nil
	})
}

// CutPower switches a node off and on again: its guests are stopped, and its tasks have ended in
// the middle. What they were making is left half made and locked, as a genuine node leaves it.
func (c *Cluster) CutPower(name string) error {
	return c.change(func() error {
		if c.state.Nodes[name] == nil {
			return fmt.Errorf("the simulated cluster has no node %q", name)
		}
		for _, g := range c.state.Guests {
			if g.Node == name {
				g.powerOff()
			}
		}
		for _, t := range c.state.Tasks {
			if live := c.running[t.UPID]; live != nil && t.Node == name {
				c.interrupt(t)
				delete(c.running, t.UPID)
			}
		}
		return nil
	})
}

// SetGuestConfig changes a guest's configuration as somebody would by hand; an empty value
// deletes the key. Nothing is checked and no task is left.
func (c *Cluster) SetGuestConfig(vmid int, key, value string) error {
	return c.changeGuest(vmid, func(g *guest) {
		if value == "" {
			delete(g.Config, key)
			return
		}
		g.Config[key] = value
	})
}

// SetGuestRunning powers a guest on or off behind the manager's back.
func (c *Cluster) SetGuestRunning(vmid int, running bool) error {
	return c.changeGuest(vmid, func(g *guest) {
		if running {
			c.powerOn(g)
			return
		}
		g.powerOff()
	})
}

// SetGuestAgent says whether a guest agent runs inside a virtual machine.
func (c *Cluster) SetGuestAgent(vmid int, inside bool) error {
	return c.changeGuest(vmid, func(g *guest) { g.HasAgent = inside })
}

// DeleteGuest removes a guest and its disks at once.
func (c *Cluster) DeleteGuest(vmid int) error {
	return c.changeGuest(vmid, func(g *guest) { c.state.removeGuest(g) })
}

func (c *Cluster) changeGuest(vmid int, f func(*guest)) error {
	return c.change(func() error {
		g := c.state.Guests[vmid]
		if g == nil {
			return fmt.Errorf("the simulated cluster has no guest %d", vmid)
		}
		f(g)
		return nil
	})
}

// ForeignGuest is a guest that somebody else made.
type ForeignGuest struct {
	VMID    int
	Node    string // default the first
	Kind    string // qemu (default) or lxc
	Name    string
	Config  map[string]string // over a small default configuration
	Running bool
}

// CreateForeignGuest puts a guest on the cluster that no task or request made.
func (c *Cluster) CreateForeignGuest(f ForeignGuest) error {
	return c.change(func() error {
		if c.state.Guests[f.VMID] != nil {
			return fmt.Errorf("the simulated cluster already has a guest %d", f.VMID)
		}
		if f.Node == "" {
			f.Node = c.localNode()
		}
		g := c.state.addForeign(f, c.now())
		if f.Running {
			c.powerOn(g)
		}
		return nil
	})
}

// CreateRole makes or replaces a role with these privileges.
func (c *Cluster) CreateRole(name string, privs ...string) error {
	return c.change(func() error {
		known, err := checkPrivileges(strings.Join(privs, ","))
		if err != nil {
			return fmt.Errorf("role %s: one of %v is no privilege", name, privs)
		}
		c.state.Roles[name] = known
		return nil
	})
}

// CreateToken makes an API token, and its user when missing, and returns the secret. The role is
// granted on / to the user, and with privilege separation to the token as well; "" grants nothing.
func (c *Cluster) CreateToken(userID, tokenID string, privsep bool, role string) (string, error) {
	secret := newUUID()
	err := c.change(func() error {
		if role != "" && !c.state.roleExists(role) {
			return fmt.Errorf("the simulated cluster has no role %q", role)
		}
		u := c.state.Users[userID]
		if u == nil {
			u = &user{Enable: true, Tokens: map[string]*token{}}
			c.state.Users[userID] = u
		}
		u.Tokens[tokenID] = &token{Secret: secret, Privsep: privsep}
		c.state.grantOnRoot(userID, tokenID, privsep, role)
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func (s *state) grantOnRoot(userID, tokenID string, privsep bool, role string) {
	if role == "" {
		return
	}
	if userID != rootUser {
		s.addACL(aclEntry{Path: "/", Role: role, Kind: "user", Who: userID, Propagate: true})
	}
	if privsep {
		s.addACL(aclEntry{Path: "/", Role: role, Kind: "token", Who: userID + "!" + tokenID, Propagate: true})
	}
}

// Guests are the numbers of all guests, ascending.
func (c *Cluster) Guests() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sortedKeys(c.state.Guests)
}

// GuestConfig is a copy of a guest's stored configuration, or nil when there is no such guest.
func (c *Cluster) GuestConfig(vmid int) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.state.Guests[vmid]
	if g == nil {
		return nil
	}
	result := map[string]string{}
	for k, v := range g.Config {
		result[k] = strings.Clone(v)
	}
	return result
}
