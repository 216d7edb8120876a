package deployment

import (
	"context"
	"regexp"
	"strings"

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

var demandedDisk = regexp.MustCompile(`^(disk|disks\[\d+\])(\.|$)`)

// demand is what a plan adds to what there is. What it gives back counts only
// when it is gone.
func (p Plan) demand() Demand {
	d := Demand{}
	for _, c := range p.Changes {
		if guestTypes[canonical(c.Type)].kind == "" {
			continue
		}
		switch c.Op {
		case OpCreate:
			d[tenancy.Guests]++
			d[tenancy.VCPU] += value(c, "cpu.cores", defaultCores) * value(c, "cpu.sockets", 1)
			d[tenancy.MemoryMiB] += value(c, "memory.dedicated", defaultMemory)
			d[tenancy.DiskGiB] += disks(c)
		case OpUpdate, OpReplace:
			d[tenancy.VCPU] += growth(c, "cpu.cores") * max(value(c, "cpu.sockets", 1), 1)
			d[tenancy.MemoryMiB] += growth(c, "memory.dedicated")
			for _, diff := range c.Diffs {
				if demandedDisk.MatchString(diff.Path) && strings.HasSuffix(diff.Path, ".size") {
					d[tenancy.DiskGiB] += growth(c, diff.Path)
				}
			}
		}
	}
	return d
}

// value is a number that a change sets.
func value(c Change, path string, otherwise int64) int64 {
	for _, d := range c.Diffs {
		if n, ok := d.New.(float64); ok && d.Path == path {
			return int64(n)
		}
	}
	return otherwise
}

// growth is by how much a change raises a number.
func growth(c Change, path string) int64 {
	for _, d := range c.Diffs {
		if n, ok := d.New.(float64); ok && d.Path == path {
			old, _ := d.Old.(float64)
			return max(int64(n-old), 0)
		}
	}
	return 0
}

// disks adds up the disks of a new guest.
func disks(c Change) (sum int64) {
	sizes := map[string]int64{}
	for _, d := range c.Diffs {
		match := demandedDisk.FindStringSubmatch(d.Path)
		if match == nil {
			continue
		}
		if _, seen := sizes[match[1]]; !seen {
			sizes[match[1]] = defaultDisk
		}
		if n, ok := d.New.(float64); ok && d.Path == match[1]+".size" {
			sizes[match[1]] = int64(n)
		}
	}
	for _, size := range sizes {
		sum += size
	}
	return sum
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
