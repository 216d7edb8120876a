package pvesim

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"
)

// noise is a number in [0,1) that depends on the seed, a name and the time in steps, smoothed
// between steps: the same question at the same moment gives the same answer.
func (c *Cluster) noise(name string, at time.Time, step time.Duration) float64 {
	position := float64(at.UnixMilli()) / float64(step.Milliseconds())
	n := math.Floor(position)
	a, b := c.hash(name, int64(n)), c.hash(name, int64(n)+1)
	part := position - n
	part = part * part * (3 - 2*part)
	return a + (b-a)*part
}

func (c *Cluster) hash(name string, n int64) float64 {
	h := fnv.New64a()
	h.Write([]byte(name + "|" + strconv.FormatInt(n, 36) + "|" + strconv.FormatUint(c.cfg.Seed, 36)))
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits move little with the last bytes; one round of mixing (MurmurHash3 fmix64)
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// load is what a running guest uses at a moment. Counters grow with the uptime.
type load struct {
	cpu             float64 // of its own cores, 0 to 1
	mem             int64
	netIn, netOut   int64
	diskRead, write int64
	uptime          int64
}

func (c *Cluster) loadOf(g *guest, at time.Time) load {
	if !g.Running || at.Before(g.Started) {
		return load{}
	}
	name := "guest" + g.id()
	up := at.Sub(g.Started)
	seconds := up.Seconds()
	boot := math.Min(seconds/60, 1)
	mem := float64(memoryOf(g))
	rate := 2000 * (0.2 + c.hash(name+"net", 0))
	return load{
		cpu:    0.02 + 0.4*math.Pow(c.noise(name+"cpu", at, 20*time.Second), 3),
		mem:    int64(mem * boot * (0.35 + 0.3*c.noise(name+"mem", at, 5*time.Minute))),
		netIn:  int64(rate * seconds),
		netOut: int64(rate * 0.7 * seconds), diskRead: int64(512 + boot*60e6), write: int64(rate * 0.3 * seconds),
		uptime: int64(seconds),
	}
}

// memoryOf is a guest's memory in bytes; what is pending does not count yet.
func memoryOf(g *guest) int64 {
	text := g.Config["memory"]
	if g.Kind == "qemu" && text != "" {
		if values, err := parsePropertyString(map[string]*property{"current": {Type: "integer", DefaultKey: 1}}, text); err == nil {
			text = values["current"]
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = 512
	}
	return n << 20
}

// coresOf is the number of processors that a guest is counted with: never more than its node has.
func (c *Cluster) coresOf(g *guest) int {
	host := c.state.Nodes[g.Node].CPUs
	cores, err := strconv.Atoi(g.Config["cores"])
	if g.Kind == "lxc" {
		if err != nil {
			return host
		}
		return min(cores, host)
	}
	if vcpus, errV := strconv.Atoi(g.Config["vcpus"]); errV == nil {
		return min(vcpus, host)
	}
	sockets, _ := strconv.Atoi(g.Config["sockets"])
	return min(max(cores, 1)*max(sockets, 1), host)
}
