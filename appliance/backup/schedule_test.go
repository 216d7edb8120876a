package backup

import (
	"testing"
	"time"
)

// TestNoDayIsLeftOutWhenClocksAreSetForward: half past two is not on that day in Vienna.
func TestNoDayIsLeftOutWhenClocksAreSetForward(t *testing.T) {
	t.Parallel()
	now, sunday, monday := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), 0, 1
	for _, c := range []struct {
		zone, at string
		weekday  *int
		first    string
	}{
		{"Europe/Vienna", "02:30", nil, "2027-03-28T03:30:00+02:00"}, {"Europe/Vienna", "02:00", &sunday, "2027-03-28T03:00:00+02:00"},
		{"Europe/Vienna", "02:30", &monday, ""}, {"Europe/Vienna", "03:00", nil, ""}, {"Europe/Vienna", "01:59", nil, ""},
		{"America/New_York", "02:30", nil, "2027-03-14T03:30:00-04:00"}, {"America/Santiago", "00:30", nil, "2027-09-05T01:30:00-03:00"},
		{"Australia/Lord_Howe", "02:15", nil, "2027-10-03T02:45:00+11:00"}, {"UTC", "02:30", nil, ""}, {"Asia/Tokyo", "02:30", nil, ""},
	} {
		zone, err := time.LoadLocation(c.zone)
		must(t, err)
		at, err := time.Parse("15:04", c.at)
		must(t, err)
		got := leaps(at, c.weekday, zone, now)
		first := ""
		if len(got) > 0 {
			first = got[0].Format(time.RFC3339)
		}
		if first != c.first {
			t.Errorf("%s in %s: %v, want %s", c.at, c.zone, got, c.first)
		}
	}
	b := New(Config{Zone: func() *time.Location { zone, _ := time.LoadLocation("Europe/Vienna"); return zone }})
	if spec := b.spec(defaults()); len(spec.Calendars) < 5 || spec.Calendars[1].Hour[0].Start != 3 || spec.TimeZoneName != "Europe/Vienna" {
		t.Errorf("the default is %+v", spec)
	}
}
