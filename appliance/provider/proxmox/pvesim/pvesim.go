// Package pvesim is a simulated Proxmox VE 9.1.7 cluster: the same REST API over TLS, the same
// sign-in, permissions, parameter checks, tasks and error texts, over guests that exist only in
// memory. It stands in for a cluster in tests, in demonstrations and behind the wizard's
// "simulated" choice, and can misbehave on request: a node goes away, a task fails or hangs, a
// guest is changed by hand.
//
// [New] makes a cluster, [Cluster.Handler] serves it under a test server, [Cluster.Start] serves
// it over TLS. What a method accepts is read from an embedded extract of the genuine method tree.
// Nothing leaves the process: download-url and query-url-metadata invent a file whose size follows
// from its address, unless Config.Fetch allows addresses to be asked for real.
package pvesim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Version is what the simulated servers report as theirs.
const (
	Version = "9.1.7"
	release = "9.1"
	repoID  = "ad92ef6082138bff"
)

const gib = int64(1) << 30

// Storage describes a storage of the cluster. Type is dir, lvmthin, nfs or zfspool; a shared
// storage has one content for all nodes, any other has its own on each.
type Storage struct {
	Name    string
	Type    string
	Path    string // dir and nfs; default /var/lib/vz
	Content string // comma-separated content types
	Size    int64  // bytes; default 250 GiB
	Shared  bool
}

// Image is a file that lies in a storage from the beginning, on every node.
type Image struct {
	Volume string // such as local:iso/debian.iso
	Size   int64  // bytes
}

// Config says what cluster to simulate. The zero value is three nodes with the storages local
// and local-lvm at life's speed, kept in memory only.
type Config struct {
	Nodes        []string  // default pve1, pve2, pve3; the first one answers, the others are reached through it
	Storages     []Storage // default local (dir, everything) and local-lvm (lvmthin, disks)
	Images       []Image   // default a Debian ISO, container template and cloud image in local
	Guests       int       // that many foreign guests exist from the beginning
	RootPassword string    // of root@pam; default made at random, see Cluster.RootPassword
	GuestAgents  bool      // new virtual machines have a guest agent inside

	Listen    string        // default 127.0.0.1:0
	StateFile string        // JSON; "" keeps nothing
	Speed     float64       // 1 (default) is lifelike, larger is faster
	StatsLag  time.Duration // cluster/resources knows a guest only after this time; a real one takes up to 10 s
	Seed      uint64        // of the invented loads
	Clock     func() time.Time
	Logger    *slog.Logger

	// Fetch asks a web server for a file that is to be downloaded; only its status, length and type
	// are used. It is the caller's to say which addresses may be reached. Nil invents every file.
	Fetch func(context.Context, *url.URL) (*http.Response, error)
}

// Cluster is the simulated cluster. All methods may be called at any time from any goroutine.
type Cluster struct {
	cfg    Config
	log    *slog.Logger
	routes *router

	mu      sync.Mutex
	state   *state
	journal []Request
	faults  faults
	running map[string]*runningTask
	tasks   sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
	srv     *server
	certs   *certificates
	stopped bool
}

// New makes a cluster, or continues the one kept in cfg.StateFile.
func New(cfg Config) (*Cluster, error) {
	cfg = withDefaults(cfg)
	c := &Cluster{cfg: cfg, log: cfg.Logger, routes: newRouter(), running: map[string]*runningTask{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.load(); err != nil {
		return nil, err
	}
	if err := c.loadCertificates(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume()
	return c, c.save()
}

func withDefaults(cfg Config) Config {
	if len(cfg.Nodes) == 0 {
		cfg.Nodes = []string{"pve1", "pve2", "pve3"}
	}
	if cfg.Storages == nil {
		cfg.Storages = []Storage{
			{Name: "local", Type: "dir", Content: "backup,images,import,iso,rootdir,snippets,vztmpl"},
			{Name: "local-lvm", Type: "lvmthin", Content: "images,rootdir", Size: 800 * gib},
		}
	}
	if cfg.Images == nil {
		cfg.Images = []Image{
			{Volume: "local:iso/debian-13.1.0-amd64-netinst.iso", Size: 820 << 20},
			{Volume: "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", Size: 123 << 20},
			{Volume: "local:import/debian-13-genericcloud-amd64.qcow2", Size: 330 << 20},
		}
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Speed <= 0 {
		cfg.Speed = 1
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// Handler serves the cluster's API without TLS. Answers whose reason phrase is not the standard
// one close their connection, because the phrase is written past net/http.
func (c *Cluster) Handler() http.Handler { return http.HandlerFunc(c.serveHTTP) }

// RootPassword is the password of root@pam.
func (c *Cluster) RootPassword() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.RootPassword
}

// Nodes are the names of the nodes.
func (c *Cluster) Nodes() []string { return slices.Clone(c.cfg.Nodes) }

func (c *Cluster) now() time.Time { return c.cfg.Clock() }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		panic("pvesim: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b)
}

// newUUID is a random UUID, version 4 (RFC 9562 section 5.4).
func newUUID() string {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		panic("pvesim: no randomness: " + err.Error())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
