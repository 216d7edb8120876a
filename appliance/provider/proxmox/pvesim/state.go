package pvesim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// state is everything that survives a restart.
type state struct {
	Boot         time.Time
	Order        []string // of the nodes
	Port         int      // that the server listened on last
	Secret       string   // signs tickets
	RootPassword string
	NextPID      int
	NextSerial   int
	Nodes        map[string]*node
	Guests       map[int]*guest
	Storages     map[string]*storage
	Volumes      map[string]*volume // by volumeKey
	Pools        map[string]*pool
	Users        map[string]*user
	Groups       map[string]*group
	Roles        map[string][]string // made by users; the system's are in code
	ACL          []aclEntry
	Tasks        []*task // oldest first
	Firewalls    map[string]*firewall
	Zones        map[string]map[string]string
	VNets        map[string]map[string]string
	Subnets      map[string]map[string]string
	Options      map[string]string
	Log          []logEntry
}

type logEntry struct {
	Time          int64
	Node, User    string
	Tag, Message  string
	PID, Priority int
}

const maxTasks = 1000

func (c *Cluster) load() error {
	if c.cfg.StateFile == "" {
		c.state = c.freshState()
		return nil
	}
	data, err := os.ReadFile(c.cfg.StateFile)
	if errors.Is(err, os.ErrNotExist) {
		c.state = c.freshState()
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the simulated cluster's state: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return fmt.Errorf("%s is not a simulated cluster's state, move it away to begin anew: %w", c.cfg.StateFile, err)
	}
	c.state = s
	c.cfg.Nodes = s.Order
	return nil
}

func (c *Cluster) freshState() *state {
	s := &state{
		Boot: c.now().Add(-40 * time.Minute), Order: c.cfg.Nodes, Secret: randomHex(32), RootPassword: c.cfg.RootPassword, NextPID: 0x400,
		Nodes: map[string]*node{}, Guests: map[int]*guest{}, Storages: map[string]*storage{}, Volumes: map[string]*volume{},
		Pools: map[string]*pool{}, Groups: map[string]*group{}, Roles: map[string][]string{}, Firewalls: map[string]*firewall{},
		Zones: map[string]map[string]string{}, VNets: map[string]map[string]string{}, Subnets: map[string]map[string]string{},
		Options: map[string]string{},
		Users:   map[string]*user{"root@pam": {Enable: true, Tokens: map[string]*token{}}},
	}
	if s.RootPassword == "" {
		s.RootPassword = randomHex(10)
	}
	for i, name := range c.cfg.Nodes {
		s.Nodes[name] = newNode(name, i)
	}
	for _, st := range c.cfg.Storages {
		s.Storages[st.Name] = newStorage(st)
	}
	for _, image := range c.cfg.Images {
		s.addImage(image, c.now())
	}
	for i := range c.cfg.Guests {
		s.addFixtureGuest(100+i, c.cfg.Nodes[i%len(c.cfg.Nodes)], c.now())
	}
	return s
}

// save writes the state beside its file and renames it there. The caller holds the lock or is New.
func (c *Cluster) save() error {
	if c.cfg.StateFile == "" {
		return nil
	}
	data, err := json.Marshal(c.state)
	if err != nil {
		return fmt.Errorf("encode the simulated cluster's state: %w", err)
	}
	return replaceFile(c.cfg.StateFile, data)
}

// persist saves and can only log when that fails: the request itself has succeeded.
func (c *Cluster) persist() {
	if err := c.save(); err != nil {
		c.log.Error("simulated cluster: state not kept", "error", err)
	}
}

// replaceFile survives a power cut, as a cluster does: the new content is on the disk when
// it returns.
func replaceFile(name string, data []byte) error {
	dir, tmp := filepath.Dir(name), name+".new"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	if err := settle(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return settle(dir)
}

// settle writes what is in a file or folder to the disk.
func settle(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// localNode is the node that answers requests.
func (c *Cluster) localNode() string { return c.cfg.Nodes[0] }

func joinSorted(set map[string]bool, sep string) string {
	return strings.Join(sortedKeys(set), sep)
}
