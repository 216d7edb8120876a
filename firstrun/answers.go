package firstrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nimbus/appliance/fault"
)

// maxAnswers bounds the file, in bytes.
const maxAnswers = 1 << 20

// Answers are what a person would enter, for a set-up without a browser.
// Passwords and PEM texts can be given in files of their own instead.
type Answers struct {
	Appliance struct {
		Appliance       `yaml:",inline"`
		CertificateFile string `yaml:"certificate_file"`
		KeyFile         string `yaml:"key_file"`
	} `yaml:"appliance"`
	Database     Database `yaml:"database"`
	HSM          HSM      `yaml:"hsm"`
	Organisation struct {
		Organisation      `yaml:",inline"`
		AdminPasswordFile string `yaml:"admin_password_file"`
	} `yaml:"organisation"`
	Proxmox     Proxmox `yaml:"proxmox"`
	RecoveryKit struct {
		// Path is where the kit is written, with mode 0600. A file that is there
		// is never overwritten.
		Path string `yaml:"path"`
	} `yaml:"recovery_kit"`
}

// ReadAnswers reads a YAML file. A key that is unknown, or given twice, is an
// error that names its line. Paths in it are relative to the file's folder.
func ReadAnswers(path string) (Answers, error) {
	var a Answers
	file, err := os.Open(path)
	if err != nil {
		return a, fault.Wrap(fault.Invalid, err, "The answers cannot be read: %v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAnswers+1))
	if err != nil || len(text) > maxAnswers {
		return a, fault.Wrap(fault.Invalid, err, "The answers in %s cannot be read, or are too long.", path)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&a); err != nil {
		return a, fault.Wrap(fault.Invalid, err, "%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return a, fault.New(fault.Invalid, "%s: give one document only.", path)
	}
	return a, a.readFiles(filepath.Dir(path))
}

func (a *Answers) readFiles(dir string) error {
	for _, f := range []struct {
		path string
		into *string
	}{
		{a.Appliance.CertificateFile, &a.Appliance.Certificate.CertificatePEM},
		{a.Appliance.KeyFile, &a.Appliance.Certificate.KeyPEM},
		{a.Organisation.AdminPasswordFile, &a.Organisation.AdminPassword},
	} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(within(dir, f.path))
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "A file that the answers name cannot be read: %v", err)
		}
		*f.into = strings.TrimRight(string(text), "\r\n")
	}
	if a.RecoveryKit.Path != "" {
		a.RecoveryKit.Path = within(dir, a.RecoveryKit.Path)
	}
	return nil
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Answer does the whole wizard without a browser, for whoever has a shell on
// the machine. It goes on where an interrupted one stopped, whether that was
// here or in the browser. note, which may be nil, hears what is being done.
func Answer(ctx context.Context, s *Setup, a Answers, note func(string)) error {
	if note == nil {
		note = func(string) {}
	}
	if !s.Open() {
		return fault.New(fault.Conflict, "This appliance is set up already. Sign in instead.")
	}
	if a.RecoveryKit.Path == "" {
		return fault.New(fault.Invalid, "Name the file for the recovery kit: recovery_kit.path.")
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, Answers) error
	}{
		{"Name, address and certificate", s.answerAppliance},
		{"Hardware security module", s.answerHSM},
		{"Database", s.answerDatabase},
		{"Organisation and administrator", s.answerOrganisation},
		{"Proxmox", s.answerProxmox},
		{"Recovery kit", s.answerKit},
	} {
		note(step.what)
		if err := step.do(ctx, a); err != nil {
			return fault.Wrap(fault.KindOf(err), err, "%s: %s", step.what, fault.Message(err))
		}
	}
	return s.Complete(ctx)
}

func (s *Setup) answerAppliance(ctx context.Context, a Answers) error {
	_, err := s.SetAppliance(ctx, a.Appliance.Appliance)
	return err
}

func (s *Setup) answerHSM(ctx context.Context, a Answers) error {
	st, err := s.load(ctx)
	if err != nil || st.fixed() {
		return err
	}
	result, err := s.SetHSM(ctx, a.HSM)
	return orRefusal(err, result.OK, result.Message)
}

// orRefusal makes an error of a result that is not good.
func orRefusal(err error, ok bool, message string) error {
	if err == nil && !ok {
		return fault.New(fault.Invalid, "%s", message)
	}
	return err
}

func (s *Setup) answerDatabase(ctx context.Context, a Answers) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if err := s.awaitDatabase(ctx); err != nil { // one that Start goes on with
		return err
	}
	if !st.fixed() {
		if _, err := s.SetDatabase(ctx, a.Database); err != nil {
			return err
		}
	}
	if err := s.awaitDatabase(ctx); err != nil {
		return err
	}
	if p := s.databaseProgress(); p.Error != "" {
		return fault.New(fault.Unavailable, "%s", p.Error)
	}
	return nil
}

func (s *Setup) awaitDatabase(ctx context.Context) error {
	for s.starting() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (s *Setup) answerOrganisation(ctx context.Context, a Answers) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	in := a.Organisation.Organisation
	if o := st.Organisation; o != nil && o.Done {
		if o.Tenant == strings.TrimSpace(in.TenantName) && o.AdminEmail == strings.TrimSpace(in.AdminEmail) {
			return nil
		}
		return fault.New(fault.Conflict, "The tenant %q with the administrator %s exists already. Give the same in the answers to go on.", o.Tenant, o.AdminEmail)
	}
	_, err = s.SetOrganisation(ctx, in)
	return err
}

func (s *Setup) answerProxmox(ctx context.Context, a Answers) error {
	result, err := s.SetProxmox(ctx, a.Proxmox)
	return orRefusal(err, result.OK, result.Message)
}

// answerKit writes the kit and proves what was written. A file that is there
// is used when it is the current kit, and otherwise left alone.
func (s *Setup) answerKit(ctx context.Context, a Answers) error {
	path := a.RecoveryKit.Path
	if text, err := os.ReadFile(path); err == nil {
		return s.proveFile(ctx, path, text)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The recovery kit cannot be written: %v", err)
	}
	if err := s.writeKit(ctx, file); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the recovery kit cannot be read back: %w", err)
	}
	return s.proveFile(ctx, path, text)
}

func (s *Setup) writeKit(ctx context.Context, file *os.File) error {
	made, err := s.MakeKit(ctx)
	if err == nil {
		_, err = file.WriteString(made.Kit)
	}
	return errors.Join(err, file.Sync(), file.Close())
}

func (s *Setup) proveFile(ctx context.Context, path string, text []byte) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.Kit == nil {
		return fault.New(fault.Conflict, "%s exists and is not overwritten. Move it away or name another file.", path)
	}
	result, err := s.VerifyKit(ctx, string(text))
	if err != nil || result.OK {
		return err
	}
	return fault.New(fault.Conflict, "%s exists, is not this appliance's current kit, and is not overwritten. Move it away or name another file. (%s)", path, result.Message)
}
