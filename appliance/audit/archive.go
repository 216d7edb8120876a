package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	enums "go.temporal.io/api/enums/v1"
	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// Permissions of the archive. What is in a segment needs ReadPermission too.
const (
	ReadArchive   = "audit:archive:read"
	UpdateArchive = "audit:archive:update"
)

// ArchiveKind says what an archive is.
type ArchiveKind string

// The kinds of archives.
const (
	ArchiveNone      ArchiveKind = "none"
	ArchiveDirectory ArchiveKind = "directory"
	ArchiveS3        ArchiveKind = "s3"
)

// ArchiveTarget is where copies of records go.
type ArchiveTarget struct {
	Kind      ArchiveKind `json:"kind" enum:"none,directory,s3"`
	Path      string      `json:"path,omitempty" maxLength:"1000" doc:"Of a directory; the provider's only. A tenant's is kept by the appliance."`
	Endpoint  string      `json:"endpoint,omitempty" maxLength:"300" doc:"Of S3: host, with a port where it is not 443."`
	Bucket    string      `json:"bucket,omitempty" maxLength:"100"`
	Region    string      `json:"region,omitempty" maxLength:"100"`
	Prefix    string      `json:"prefix,omitempty" maxLength:"200"`
	AccessKey string      `json:"access_key,omitempty" maxLength:"300"`
	CAPEM     string      `json:"ca_pem,omitempty" maxLength:"20000" doc:"Authorities to trust instead of the system's."`
	Secret    string      `json:"secret,omitempty" maxLength:"1000" doc:"Never answered; empty keeps the one there is."`

	id     id.ID
	sealed []byte
}

// ArchiveStatus is a target and how the last run went.
type ArchiveStatus struct {
	ArchiveTarget
	HasSecret bool       `json:"has_secret"`
	RanAt     *time.Time `json:"ran_at"`
	FailedAt  *time.Time `json:"failed_at" doc:"Since when runs fail; null when the last one did what it should."`
	Error     string     `json:"error"`
	Waiting
}

// name is how the place is called in records.
func (t ArchiveTarget) name() string {
	switch {
	case t.Kind == ArchiveS3:
		return "s3 " + t.Endpoint + "/" + t.Bucket + "/" + t.Prefix
	case t.Kind == ArchiveDirectory && t.Path == "":
		return "directory of the appliance"
	case t.Kind == ArchiveDirectory:
		return "directory " + t.Path
	}
	return string(ArchiveNone)
}

// samePlace tells whether the segments of one are in the other.
func (t ArchiveTarget) samePlace(o ArchiveTarget) bool {
	return t.Kind == o.Kind && t.Path == o.Path && t.Endpoint == o.Endpoint && t.Bucket == o.Bucket && t.Prefix == o.Prefix
}

const archivePurpose = "audit archive"

// Archive tells where copies of the records of the actor's tenant go.
func (s *Service) Archive(ctx context.Context) (ArchiveStatus, error) {
	a, err := s.authorise(ctx, ReadArchive)
	if err != nil {
		return ArchiveStatus{}, err
	}
	return s.archive(ctx, a.TenantID)
}

func (s *Service) archive(ctx context.Context, tenant id.ID) (status ArchiveStatus, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		status, err = s.store.archive(ctx)
		return err
	})
	return status, err
}

// SetArchive chooses where copies go. Segments stay readable where they are. It
// returns fault.Invalid for what cannot be.
func (s *Service) SetArchive(ctx context.Context, t ArchiveTarget) (ArchiveStatus, error) {
	a, err := s.authorise(ctx, UpdateArchive)
	if err != nil {
		return ArchiveStatus{}, err
	}
	before, err := s.archive(ctx, a.TenantID)
	if err != nil {
		return before, err
	}
	if t, err = s.archiveWith(ctx, a.TenantID, t, before.ArchiveTarget); err != nil {
		return before, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.lockLife(ctx); err != nil {
			return err
		}
		if err := s.store.setArchive(ctx, t); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.archive.updated", Priority: Warning, Target: s.chainTarget(a.TenantID),
			Before: map[string]any{"place": before.name(), "access_key": before.AccessKey}, After: map[string]any{"place": t.name(), "access_key": t.AccessKey}})
	})
	if err != nil {
		return before, err
	}
	return s.archive(ctx, a.TenantID)
}

// archiveWith checks a target and seals its secret, or keeps the one it had.
func (s *Service) archiveWith(ctx context.Context, tenant id.ID, t, before ArchiveTarget) (ArchiveTarget, error) {
	if t.Kind == ArchiveNone {
		return ArchiveTarget{Kind: ArchiveNone}, nil
	}
	if t.Kind == ArchiveDirectory {
		t = ArchiveTarget{Kind: t.Kind, Path: t.Path}
	}
	if t.Path != "" && !s.chainOf(tenant).IsZero() {
		return t, fault.BadField("body.path", "Only the provider chooses paths on the appliance. Leave it empty: the appliance keeps the archive beside its database.")
	}
	t.id = id.New()
	if t.samePlace(before) {
		t.id = before.id
	}
	secret := t.Secret
	if t.Kind == ArchiveS3 && secret == "" {
		if t.id != before.id || t.AccessKey != before.AccessKey {
			return t, fault.BadField("body.secret", "Give the secret key: there is none for this place and access key.")
		}
		var err error
		if secret, err = s.archiveSecret(ctx, tenant, before); err != nil {
			return t, err
		}
	}
	if _, err := s.openArchiveWith(t, secret); err != nil {
		return t, err
	}
	return t, s.sealArchive(ctx, tenant, &t, secret)
}

func (s *Service) sealArchive(ctx context.Context, tenant id.ID, t *ArchiveTarget, secret string) (err error) {
	t.Secret = ""
	if t.Kind != ArchiveS3 {
		return nil
	}
	if s.Keyring == nil || s.Keyring() == nil {
		return fault.New(fault.Unavailable, "Secrets cannot be kept yet. Try again when the appliance has started.")
	}
	t.sealed, err = s.Keyring().Seal(ctx, s.chainOf(tenant), archivePurpose+" "+t.id.String(), []byte(secret))
	return err
}

func (s *Service) archiveSecret(ctx context.Context, tenant id.ID, t ArchiveTarget) (string, error) {
	if len(t.sealed) == 0 {
		return "", nil
	}
	if s.Keyring == nil || s.Keyring() == nil {
		return "", fault.New(fault.Unavailable, "The secret of the archive cannot be opened yet. Try again when the appliance has started.")
	}
	plain, err := s.Keyring().Open(ctx, s.chainOf(tenant), archivePurpose+" "+t.id.String(), t.sealed)
	return string(plain), err
}

// openArchive opens the store that a target describes.
func (s *Service) openArchive(ctx context.Context, tenant id.ID, t ArchiveTarget) (objectstore.Store, error) {
	secret, err := s.archiveSecret(ctx, tenant, t)
	if err != nil {
		return nil, err
	}
	return s.openArchiveWith(t, secret)
}

func (s *Service) openArchiveWith(t ArchiveTarget, secret string) (objectstore.Store, error) {
	if t.Kind == ArchiveDirectory {
		path := t.Path
		if path == "" {
			if path = filepath.Join(s.Dir, "audit", "archive"); os.MkdirAll(path, 0o700) != nil {
				return nil, fault.New(fault.Unavailable, "The directory of the archive cannot be made. Check the data directory's rights and free space.")
			}
		}
		return objectstore.Open(objectstore.Config{Kind: objectstore.Directory, Path: path})
	}
	if s.Outbound == nil {
		return nil, fault.New(fault.Unavailable, "It is not known which addresses may be reached.")
	}
	return objectstore.Open(objectstore.Config{Kind: objectstore.S3, Endpoint: t.Endpoint, Region: t.Region, Bucket: t.Bucket, Prefix: t.Prefix,
		AccessKey: t.AccessKey, SecretKey: secret, CAPEM: t.CAPEM, Dial: s.Outbound.Dial})
}

// TestArchive writes something to the archive, reads it back and removes it. It
// returns fault.Unavailable with the reason when that fails, and fault.Conflict
// when there is no archive.
func (s *Service) TestArchive(ctx context.Context) error {
	a, err := s.authorise(ctx, UpdateArchive)
	if err != nil {
		return err
	}
	status, err := s.archive(ctx, a.TenantID)
	if err != nil {
		return err
	}
	if status.Kind == ArchiveNone {
		return errNoArchive
	}
	failed := s.tryArchive(ctx, a.TenantID, status.ArchiveTarget)
	e := Entry{Event: "audit.archive.tested", Target: s.chainTarget(a.TenantID), Details: map[string]any{"place": status.name()}}
	if failed != nil {
		e.Outcome, e.Reason = Failure, fault.Message(failed)
	}
	return errors.Join(s.RecordAlone(ctx, a.TenantID, e), failed)
}

var errNoArchive = fault.New(fault.Conflict, "There is no archive yet. Choose a place for it first.")

func (s *Service) tryArchive(ctx context.Context, tenant id.ID, t ArchiveTarget) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	store, err := s.openArchive(ctx, tenant, t)
	if err != nil {
		return err
	}
	key, text := chainName(s.chainOf(tenant))+"/test-"+id.New().String(), []byte("Nimbus tries whether it can write here.\n")
	if _, err := store.Put(ctx, key, bytes.NewReader(text)); err != nil {
		return err
	}
	object, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	defer object.Close()
	back, err := io.ReadAll(io.LimitReader(object, int64(len(text))+1))
	if err == nil && !bytes.Equal(back, text) {
		err = fault.New(fault.Unavailable, "What was written to the archive is not what is read from it.")
	}
	_ = store.Delete(ctx, key) // a key without the right to delete is the better one
	return err
}

// RunArchive starts a run for the actor's tenant; one that runs goes on. It
// returns fault.Conflict without an archive and fault.Unavailable when
// workflows cannot be started.
func (s *Service) RunArchive(ctx context.Context) error {
	a, err := s.authorise(ctx, UpdateArchive)
	if err != nil {
		return err
	}
	c := s.temporalClient()
	if c == nil {
		return errNoWorkflows
	}
	status, err := s.archive(ctx, a.TenantID)
	if err != nil {
		return err
	}
	if status.Kind == ArchiveNone {
		return errNoArchive
	}
	if err := s.RecordAlone(ctx, a.TenantID, Entry{Event: "audit.archive.requested", Target: s.chainTarget(a.TenantID)}); err != nil {
		return err
	}
	_, err = c.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
		ID: archiveSchedule + "-" + chainName(s.chainOf(a.TenantID)), TaskQueue: taskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, archiveWorkflow, ArchiveInput{One: true, Tenant: s.chainOf(a.TenantID)})
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The run could not be started. Try again in a minute; the nightly one runs anyway.")
	}
	return nil
}
