package backup

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/objectstore"
)

// None is the kind of a target that is not chosen yet.
const None = "none"

// Target says where backups are kept.
type Target struct {
	Kind string `json:"kind" enum:"none,directory,s3,sftp"`
	Path string `json:"path,omitempty" maxLength:"1000" doc:"Of a directory, absolute; on an SFTP server the directory there."`

	Endpoint  string `json:"endpoint,omitempty" maxLength:"300" doc:"Of S3: host, with a port where it is not 443."`
	Bucket    string `json:"bucket,omitempty" maxLength:"200"`
	Region    string `json:"region,omitempty" maxLength:"100"`
	Prefix    string `json:"prefix,omitempty" maxLength:"300" doc:"Before every name in the bucket."`
	AccessKey string `json:"access_key,omitempty" maxLength:"300"`
	CAPEM     string `json:"ca_pem,omitempty" maxLength:"100000" doc:"Authorities to trust instead of the system's."`

	Host    string `json:"host,omitempty" maxLength:"300" doc:"Of an SFTP server."`
	Port    int    `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"22 when left out."`
	User    string `json:"user,omitempty" maxLength:"100"`
	HostKey string `json:"host_key,omitempty" maxLength:"2000" doc:"The server's public key as in known_hosts, or its SHA256 fingerprint. No other key is accepted."`

	HasSecret bool   `json:"has_secret" required:"false"`
	Secret    string `json:"secret,omitempty" maxLength:"20000" doc:"The secret key of S3; the password or the private key of SFTP. Never answered; left out, the one that is kept is used."`
}

// Open returns the store of a target, which is not reached yet. Fault: Invalid.
func (t Target) Open() (objectstore.Store, error) {
	if t.Kind == None || t.Kind == "" {
		return nil, fault.New(fault.Conflict, "No target for backups is chosen. Choose a directory, a bucket or an SFTP server in the settings of backups.")
	}
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return objectstore.Open(objectstore.Config{
		Kind: t.Kind, Path: t.Path, Endpoint: t.Endpoint, Region: t.Region, Bucket: t.Bucket, Prefix: t.Prefix,
		AccessKey: t.AccessKey, SecretKey: t.Secret, CAPEM: t.CAPEM, Dial: dialer.DialContext,
		Host: t.Host, Port: t.Port, User: t.User, HostKey: t.HostKey,
	})
}

// String names a target without its secret.
func (t Target) String() string {
	switch t.Kind {
	case objectstore.S3:
		return "s3 " + t.Endpoint + "/" + t.Bucket + "/" + t.Prefix
	case objectstore.SFTP:
		at := t.Path
		if !path.IsAbs(at) {
			at = path.Join("/~", at) // below the person's own folder
		}
		return fmt.Sprintf("sftp %s@%s:%d%s", t.User, t.Host, cmp.Or(t.Port, 22), at)
	case objectstore.Directory:
		return "directory " + t.Path
	}
	return None
}

// Schedule says when backups are made by themselves.
type Schedule struct {
	Enabled bool   `json:"enabled"`
	At      string `json:"at" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" doc:"HH:MM in the appliance's time zone."`
	Weekday *int   `json:"weekday,omitempty" minimum:"0" maximum:"6" doc:"0 is Sunday; left out, every day."`
}

// Keep says how many backups are kept: the newest of each of the last days,
// weeks and months.
type Keep struct {
	Daily   int `json:"daily" minimum:"1" maximum:"366"`
	Weekly  int `json:"weekly" minimum:"0" maximum:"520"`
	Monthly int `json:"monthly" minimum:"0" maximum:"240"`
}

// WAL says whether Postgres's log is sent between backups.
type WAL struct {
	Enabled bool `json:"enabled" doc:"Any moment can be restored then, and at most about a minute is lost with the machine."`
}

// Settings are what an administrator decides about backups.
type Settings struct {
	Target     Target   `json:"target"`
	Schedule   Schedule `json:"schedule"`
	Keep       Keep     `json:"keep"`
	WAL        WAL      `json:"wal"`
	Recipients []string `json:"recipients" maxItems:"20" doc:"Further age recipients who can open backups, besides the recovery kit."`
	AlarmAfter int      `json:"alarm_after_hours" minimum:"1" maximum:"8760" doc:"A newest backup that is older raises an alarm."`
	Verify     bool     `json:"verify" doc:"Restore each scheduled backup into a scratch directory before it counts as made."`
}

// defaults are the settings before anybody decided.
func defaults() Settings {
	return Settings{
		Target: Target{Kind: None}, Schedule: Schedule{Enabled: true, At: "02:30"}, Keep: Keep{Daily: 7, Weekly: 4, Monthly: 12},
		WAL: WAL{Enabled: true}, Recipients: []string{}, AlarmAfter: 36, Verify: true,
	}
}

func (s Settings) check() error {
	if _, err := time.Parse("15:04", s.Schedule.At); err != nil {
		return fault.BadField("body.schedule.at", "%q is not a time of day such as 02:30.", s.Schedule.At)
	}
	if w := s.Schedule.Weekday; w != nil && (*w < 0 || *w > 6) {
		return fault.BadField("body.schedule.weekday", "The day of the week is 0 (Sunday) to 6.")
	}
	if s.Keep.Daily < 1 || s.Keep.Weekly < 0 || s.Keep.Monthly < 0 {
		return fault.BadField("body.keep.daily", "Keep one daily backup at least.")
	}
	if s.AlarmAfter < 1 {
		return fault.BadField("body.alarm_after_hours", "Give an hour at least.")
	}
	if _, err := recipients(s.Recipients); err != nil {
		return err
	}
	if s.Target.Kind == None {
		return nil
	}
	_, err := s.Target.Open()
	return err
}

// public is s without its secret.
func (s Settings) public() Settings {
	s.Target.HasSecret, s.Target.Secret = s.Target.Secret != "", ""
	s.Recipients = append([]string{}, s.Recipients...)
	return s
}

// kept is how settings lie in the local store: the secret is sealed.
type kept struct {
	Settings Settings `json:"settings"`
	Secret   []byte   `json:"secret,omitempty"`
}

const (
	settingsKey   = "backup.settings"
	catalogueKey  = "backup.catalogue"
	secretPurpose = "backup target"
)

// load reads the settings with their secret.
func (s *Service) load(ctx context.Context) (Settings, error) {
	k := kept{Settings: defaults()}
	if _, err := s.Store.Get(ctx, settingsKey, &k); err != nil {
		return Settings{}, err
	}
	if len(k.Secret) == 0 {
		return k.Settings, nil
	}
	secret, err := s.Open(ctx, secretPurpose, k.Secret)
	if err != nil {
		return Settings{}, fault.Wrap(fault.Unavailable, err, "The secret of the target cannot be decrypted. Enter it again.")
	}
	k.Settings.Target.Secret = string(secret)
	return k.Settings, nil
}

// save keeps settings. An empty secret keeps the one there is while the target
// is of the same kind.
func (s *Service) save(ctx context.Context, set Settings) (Settings, error) {
	before, err := s.load(ctx)
	if err != nil {
		return Settings{}, err
	}
	set = set.with(before)
	if err := set.check(); err != nil {
		return Settings{}, err
	}
	k := kept{Settings: set.public()}
	if set.Target.Secret != "" {
		if k.Secret, err = s.Seal(ctx, secretPurpose, []byte(set.Target.Secret)); err != nil {
			return Settings{}, err
		}
	}
	return set, s.Store.Put(ctx, settingsKey, k)
}

// with fills in the secret that is kept, for the same place only: a secret must
// not be sent to another one.
func (s Settings) with(before Settings) Settings {
	was, now := before.Target, s.Target
	same := was.Kind == now.Kind && was.Endpoint == now.Endpoint && was.AccessKey == now.AccessKey &&
		was.Host == now.Host && was.Port == now.Port && was.User == now.User && was.HostKey == now.HostKey
	if now.Secret == "" && same {
		s.Target.Secret = was.Secret
	}
	slices.Sort(s.Recipients)
	s.Recipients = slices.Compact(s.Recipients)
	return s
}
