package backup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/id"
)

// superfluous are the backups that a policy does not keep: of each of the last
// days, weeks and months in which there was one, the newest stays. What somebody
// asked for stays as many days as daily ones do, whatever else there is of its
// day. The newest of all, the newest that is proven, and what is not done
// always stay.
func superfluous(all []Backup, k Keep, zone *time.Location) []Backup {
	var made []Backup
	for _, b := range all {
		if b.State == Done {
			made = append(made, b)
		}
	}
	slices.SortFunc(made, func(a, b Backup) int { return b.StartedAt.Compare(a.StartedAt) })
	stays := map[id.ID]bool{}
	for i, b := range made {
		if i == 0 {
			stays[b.ID] = true
		}
		if b.Proven() {
			stays[b.ID] = true
			break
		}
	}
	for _, b := range made {
		if b.Kind != Scheduled && b.StartedAt.After(made[0].StartedAt.AddDate(0, 0, -k.Daily)) {
			stays[b.ID] = true
		}
	}
	for _, rule := range []struct {
		most   int
		period func(time.Time) string
	}{
		{k.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{k.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d week %d", y, w) }},
		{k.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
	} {
		seen := map[string]bool{}
		for _, b := range made {
			if p := rule.period(b.StartedAt.In(zone)); !seen[p] && len(seen) < rule.most {
				seen[p], stays[b.ID] = true, true
			}
		}
	}
	return slices.DeleteFunc(made, func(b Backup) bool { return stays[b.ID] })
}

// obsolete are the segments of the log that no kept backup needs: those before
// the oldest on its timeline, and older timelines. Histories always stay: they
// keep two timelines from getting one number.
func obsolete(segments []string, kept []Backup) []string {
	oldest := map[string]string{} // by timeline
	first := ""
	for _, b := range kept {
		if len(b.WALFrom) != segmentName {
			continue
		}
		line := b.WALFrom[:8]
		if o, ok := oldest[line]; !ok || b.WALFrom < o {
			oldest[line] = b.WALFrom
		}
		if first == "" || line < first {
			first = line
		}
	}
	if first == "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(segments), func(name string) bool {
		if len(name) < segmentName || strings.HasSuffix(name, historySuffix) {
			return true
		}
		line, segment := name[:8], name[:segmentName]
		from, ok := oldest[line]
		return ok && segment >= from || !ok && line >= first
	})
}
