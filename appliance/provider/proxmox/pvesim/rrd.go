package pvesim

import "time"

// timeframes are the length and the step of the series that rrddata offers.
var timeframes = map[string][2]time.Duration{
	"hour": {time.Hour, time.Minute}, "day": {24 * time.Hour, 30 * time.Minute}, "week": {7 * 24 * time.Hour, 3 * time.Hour},
	"month": {30 * 24 * time.Hour, 12 * time.Hour}, "year": {365 * 24 * time.Hour, 7 * 24 * time.Hour}, "decade": {3650 * 24 * time.Hour, 70 * 24 * time.Hour},
}

// series has one point a step, of which those before since are empty, as they are for something new.
func (req *call) series(since time.Time, point func(time.Time) map[string]any) []map[string]any {
	span := timeframes[req.p["timeframe"]]
	end := req.now().Truncate(span[1])
	result := []map[string]any{}
	for at := end.Add(-span[0]).Add(span[1]); !at.After(end); at = at.Add(span[1]) {
		entry := map[string]any{}
		if !at.Before(since) {
			entry = point(at)
		}
		entry["time"] = at.Unix()
		result = append(result, entry)
	}
	return result
}

func nodeRRD(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	return req.series(req.state.Boot, func(at time.Time) map[string]any {
		used, cpu := req.nodeMemory(n, at), req.nodeCPU(n, at)
		entry := map[string]any{
			"cpu": cpu, "maxcpu": n.CPUs, "loadavg": cpu * float64(n.CPUs), "iowait": 0.001,
			"memtotal": n.Memory, "memused": used, "memavailable": n.Memory - used, "swaptotal": 0, "swapused": 0, "arcsize": 0,
			"roottotal": n.Disk, "rootused": 12 * gib, "netin": 1000 * req.noise(n.Name+"in", at, time.Minute), "netout": 1000 * req.noise(n.Name+"out", at, time.Minute),
		}
		addPressure(entry)
		delete(entry, "pressurecpufull")
		return entry
	}), nil
}

func guestRRD(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	return req.series(g.Created, func(at time.Time) map[string]any {
		l := req.loadOf(g, at)
		entry := map[string]any{"maxcpu": req.coresOf(g), "maxmem": memoryOf(g), "maxdisk": req.bootDiskSize(g), "disk": 0}
		if g.Running {
			seconds := float64(max(l.uptime, 1))
			entry["cpu"], entry["mem"] = l.cpu, l.mem
			entry["netin"], entry["netout"] = float64(l.netIn)/seconds, float64(l.netOut)/seconds
			entry["diskread"], entry["diskwrite"] = float64(l.diskRead)/seconds, float64(l.write)/seconds
		}
		return entry
	}), nil
}

func storageRRD(req *call) (any, error) {
	if err := req.storageExists(); err != nil {
		return nil, err
	}
	return req.series(req.state.Boot, func(time.Time) map[string]any {
		used, total := req.state.usage(req.p["storage"], req.p["node"])
		return map[string]any{"total": total, "used": used}
	}), nil
}
