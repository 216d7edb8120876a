package deployment

import (
	"context"
	"math"
	"regexp"
	"strconv"

	"nimbus/appliance/fault"
	"nimbus/appliance/tenancy"
)

// Demand is what guests need, in the units of quotas.
type Demand map[tenancy.QuotaKind]int64

// What the provider gives a guest whose program does not say.
const (
	defaultCores  = 1
	defaultMemory = 512 // MiB
	defaultDisk   = 8   // GiB
)

// sizePath finds the sizes of disks: of machines, of containers and their mount
// points, and of cloned machines.
var sizePath = regexp.MustCompile(`^(disks\[\d+\]|disk|disk\.[a-z]+\d+|mountPoints\[\d+\])\.size(?:Gb)?$`)

// diskPart finds the disks of a new guest, by anything that is said of them.
var diskPart = regexp.MustCompile(`^(disks\[\d+\]|disk\.[a-z]+\d+|disk)(\.|$)`)

// demand is what a plan adds to what there is. What it gives back counts only
// when it is gone.
func (p Plan) demand() Demand {
	d := Demand{}
	for _, c := range p.Changes {
		if guestTypes[canonical(c.Type)].kind == "" {
			continue
		}
		old, now := c.leaves()
		switch c.Op {
		case OpCreate:
			d[tenancy.Guests]++
			d[tenancy.VCPU] += now.or("cpu.cores", defaultCores) * now.or("cpu.sockets", 1)
			d[tenancy.MemoryMiB] += now.or("memory.dedicated", now.or("memory.size", defaultMemory))
			d[tenancy.DiskGiB] += now.disks()
		case OpUpdate, OpReplace:
			d[tenancy.VCPU] += growth(old, now, 1, "cpu.cores", "cpu.sockets")
			d[tenancy.MemoryMiB] += growth(old, now, 0, "memory.dedicated") + growth(old, now, 0, "memory.size")
			for path := range now {
				if sizePath.MatchString(path) {
					d[tenancy.DiskGiB] += growth(old, now, 0, path)
				}
			}
		}
	}
	return d
}

// amounts are values by path, everything that lies in others written out.
type amounts map[string]any

// leaves are the values of a change before and after it.
func (c Change) leaves() (old, now amounts) {
	old, now = amounts{}, amounts{}
	for _, d := range c.Diffs {
		old.add(d.Path, d.Old)
		now.add(d.Path, d.New)
	}
	return old, now
}

func (a amounts) add(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			a.add(path+"."+key, item)
		}
	case []any:
		for i, item := range v {
			a.add(path+"["+itoa(i)+"]", item)
		}
	case nil:
	default:
		a[path] = v
	}
}

// or is the number at a path. A size of a mount point has its unit: "8G".
func (a amounts) or(path string, otherwise int64) int64 {
	switch v := a[path].(type) {
	case float64:
		return int64(v)
	case string:
		return gibibytes(v, otherwise)
	}
	return otherwise
}

var sized = regexp.MustCompile(`^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$`)

func gibibytes(text string, otherwise int64) int64 {
	match := sized.FindStringSubmatch(text)
	if match == nil {
		return otherwise
	}
	n, _ := strconv.ParseFloat(match[1], 64) // it has digits only
	return int64(math.Ceil(n * map[string]float64{"": 1, "K": 1. / (1 << 20), "M": 1. / (1 << 10), "G": 1, "T": 1 << 10}[match[2]]))
}

// growth is by how much a change raises a number, or the product of some. What
// stays is not in the plan and counts as one; what was not there is otherwise.
func growth(old, now amounts, otherwise int64, paths ...string) int64 {
	before, after := int64(1), int64(1)
	for _, path := range paths {
		if _, changes := now[path]; changes {
			before, after = before*old.or(path, otherwise), after*now.or(path, otherwise)
		}
	}
	return max(after-before, 0)
}

// disks adds up the disks of a new guest.
func (a amounts) disks() (sum int64) {
	sizes := map[string]int64{}
	for path := range a {
		if match := diskPart.FindStringSubmatch(path); match != nil {
			sizes[match[1]] = max(sizes[match[1]], defaultDisk)
		}
	}
	for path := range a {
		if match := sizePath.FindStringSubmatch(path); match != nil {
			sizes[match[1]] = a.or(path, defaultDisk)
		}
	}
	for _, size := range sizes {
		sum += size
	}
	return sum
}

// uncounted finds a size that quotas cannot count: nobody may read it, or it is
// not known before the run. Left alone it would count as the default.
var uncounted = regexp.MustCompile(`^(cpu(\.(cores|sockets))?|memory(\.(dedicated|size))?|disk(s?(\[\d+\])?|\.[a-z]+\d+)?(\.size(Gb)?)?|mountPoints(\[\d+\](\.size)?)?)$`)

// countable refuses a plan whose sizes cannot be counted.
func (p Plan) countable() error {
	for _, c := range p.Changes {
		if guestTypes[canonical(c.Type)].kind == "" {
			continue
		}
		for _, d := range c.Diffs {
			if uncounted.MatchString(d.Path) && (d.New == Mask || d.New == Unknown) {
				return fault.New(fault.Invalid, "The size %s of %q is secret or not known before the run, so it cannot be held against the quota. "+
					"Write it as a plain number, or as a configuration value that is not secret.", d.Path, c.Name)
			}
		}
	}
	return nil
}

// within makes sure, in the transaction that begins the execution of a plan,
// that the tenant may have what it adds.
func (s *Service) within(ctx context.Context, p Plan) error {
	if s.Quota == nil {
		return nil
	}
	d := p.demand()
	for _, kind := range tenancy.QuotaKinds { // always in this order: two that wait for each other would wait for ever
		if d[kind] > 0 {
			if err := s.Quota(ctx, kind, d[kind]); err != nil {
				return err
			}
		}
	}
	return nil
}

// BeingCreated adds up what the executions under way in the transaction's
// tenant add, of one kind.
func (s *Service) BeingCreated(ctx context.Context, kind tenancy.QuotaKind) (n int64, err error) {
	for _, status := range []Status{Applying, Verifying, Compensating} {
		all, err := s.store.deployments(ctx, Filter{Status: status, Limit: 200})
		if err != nil {
			return 0, err
		}
		for _, d := range all {
			if d.Plan != nil {
				n += d.Plan.demand()[kind]
			}
		}
	}
	return n, nil
}
