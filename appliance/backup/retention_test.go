package backup

import (
	"slices"
	"testing"
	"time"

	"nimbus/appliance/id"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var all []Backup
	days := map[id.ID]int{}
	for day := range 400 {
		for _, hour := range []int{0, 6} {
			b := Backup{ID: id.New(), Kind: Scheduled, State: Done, StartedAt: noon.AddDate(0, 0, -day).Add(-time.Duration(hour) * time.Hour)}
			days[b.ID] = day
			all = append(all, b)
		}
	}
	verified := noon
	all[200].VerifiedAt = &verified // of day 100
	all = append(all, Backup{ID: id.New(), State: Running, StartedAt: noon.AddDate(-2, 0, 0)}, Backup{ID: id.New(), State: Failed, StartedAt: noon.AddDate(-2, 0, 0)})
	gone := superfluous(all, Keep{Daily: 7, Weekly: 4, Monthly: 12}, time.UTC)
	var left []int
	for _, b := range all {
		if b.State == Done && !slices.ContainsFunc(gone, func(g Backup) bool { return g.ID == b.ID }) {
			left = append(left, days[b.ID])
		}
	}
	// days 0 to 6; Sundays of the weeks before: 4, 11, 18; the last days of the months before; the verified one
	want := []int{0, 1, 2, 3, 4, 5, 6, 11, 18, 26, 57, 87, 100, 118, 149, 179, 210, 240, 271, 299, 330}
	if !slices.Equal(left, want) {
		t.Errorf("kept are days %v, want %v", left, want)
	}
	asked := []Backup{{ID: id.New(), StartedAt: noon, State: Done, Kind: Scheduled}}
	for _, hours := range []int{1, 2, 24 * 6, 24 * 8} {
		asked = append(asked, Backup{ID: id.New(), Kind: Manual, State: Done, StartedAt: noon.Add(-time.Duration(hours) * time.Hour)})
	}
	if gone := superfluous(asked, Keep{Daily: 2}, time.UTC); len(gone) != 1 || gone[0].ID != asked[4].ID {
		t.Errorf("of what was asked for %v is given up", gone)
	}
	rotten := []Backup{{ID: id.New(), State: Done, StartedAt: noon, VerifiedAt: &verified, VerifyError: "damaged"},
		{ID: id.New(), State: Done, StartedAt: noon.AddDate(0, 0, -1), VerifiedAt: &verified}, {ID: id.New(), State: Done, StartedAt: noon.AddDate(0, 0, -2)}}
	if gone := superfluous(rotten, Keep{Daily: 1}, time.UTC); len(gone) != 1 || gone[0].ID != rotten[2].ID {
		t.Errorf("the newest that holds is given up: %v", gone)
	}
	if gone := superfluous(all[:1], Keep{Daily: 1}, time.UTC); len(gone) > 0 {
		t.Errorf("the only backup is given up: %v", gone)
	}
}

func TestObsoleteSegments(t *testing.T) {
	t.Parallel()
	segments := []string{
		"000000010000000000000001", "000000010000000000000007", "000000020000000000000002", "000000020000000000000003",
		"000000020000000000000003.partial", "00000002.history", "000000030000000000000001", "x",
	}
	kept := []Backup{{WALFrom: "000000020000000000000005"}, {WALFrom: "000000020000000000000003"}, {}}
	want := []string{"000000010000000000000001", "000000010000000000000007", "000000020000000000000002"}
	if got := obsolete(segments, kept); !slices.Equal(got, want) {
		t.Errorf("obsolete are %v, want %v", got, want)
	}
	if got := obsolete(segments, nil); len(got) > 0 {
		t.Errorf("without a backup %v are obsolete", got)
	}
}
