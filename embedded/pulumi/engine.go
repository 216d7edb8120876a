package pulumi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"nimbus/embedded/pulumi/bridge"
)

// Config says where an Engine keeps its files and what it starts.
type Config struct {
	Dir        string       // the engine's directory; made when missing, mode 0700
	Executable string       // the binary started as CLI and provider; os.Executable when empty
	Logger     *slog.Logger // nil discards
}

// Engine runs operations on stacks. One Engine owns its directory: the
// appliance's lock on the data directory keeps a second one out.
type Engine struct {
	dir  string
	exe  string
	log  *slog.Logger
	docs *loader

	mu      sync.Mutex
	ctx     context.Context // ends with Stop; nil before Start
	stop    context.CancelFunc
	busy    map[string]*job // by Run.key
	running sync.WaitGroup
}

// job is a running operation.
type job struct{ cancel context.CancelCauseFunc }

// New makes an Engine. It touches nothing before Start.
func New(cfg Config) *Engine {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{dir: cfg.Dir, exe: cfg.Executable, log: log, docs: &loader{}, busy: map[string]*job{}}
}

// Start lays out the directory, points the CLI and the provider at the binary
// and stops what an earlier life of the appliance left running.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx != nil {
		return nil
	}
	if err := e.locate(); err != nil {
		return fmt.Errorf("prepare the Pulumi engine: %w", err)
	}
	if n, err := stopMarked(ctx, envDir, e.dir); err != nil {
		return fmt.Errorf("stop Pulumi processes of an earlier run: %w", err)
	} else if n > 0 {
		e.log.Warn("stopped Pulumi processes of an earlier run", "processes", n)
	}
	if err := e.layOut(); err != nil {
		return fmt.Errorf("prepare the Pulumi engine: %w", err)
	}
	if err := errors.Join(syncWrites(e.backend()), syncWrites(e.work())); err != nil {
		e.log.Warn("the file system cannot write the state of stacks at once: a power cut in a deployment may take what the state knew of it; "+
			"keep the data directory on ext4, XFS or Btrfs", "dir", e.dir, "error", err)
	}
	e.removeSockets()
	e.ctx, e.stop = context.WithCancel(context.Background())
	return nil
}

// Ready is nil when operations can be run.
func (e *Engine) Ready(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil {
		return ErrStopped
	}
	if _, err := os.Stat(e.cliPath()); err != nil {
		return fmt.Errorf("the Pulumi CLI cannot be started: %w", err)
	}
	return nil
}

// Stop cancels what runs and waits for it until ctx ends; children still there
// are then killed. Their stacks need Recover.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	if e.ctx == nil {
		e.mu.Unlock()
		return nil
	}
	e.stop()
	e.ctx = nil
	e.mu.Unlock()

	done := make(chan struct{})
	go func() { e.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		_, err := stopMarked(context.WithoutCancel(ctx), envDir, e.dir)
		<-done
		return err
	}
}

// begin claims a stack for one operation. The returned context ends with ctx,
// with Cancel and with Stop.
func (e *Engine) begin(ctx context.Context, r *Run) (context.Context, func(), error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil {
		return nil, nil, ErrStopped
	}
	if e.busy[r.key()] != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.key(), ErrBusy)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(e.ctx, func() { cancel(ErrStopped) })
	e.busy[r.key()] = &job{cancel: cancel}
	e.running.Add(1)
	return ctx, func() {
		unhook()
		cancel(nil)
		e.mu.Lock()
		delete(e.busy, r.key())
		e.mu.Unlock()
		e.running.Done()
	}, nil
}

// Cancel asks the operation running on a stack to end after the change it is
// in the middle of, and has it killed when that takes longer than some seconds:
// the stack then needs Recover. It reports whether an operation was running;
// that one returns ErrCancelled.
func (e *Engine) Cancel(_ context.Context, r Run) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.busy[r.key()]
	if j != nil {
		j.cancel(ErrCancelled)
	}
	return j != nil
}

func (e *Engine) home() string      { return filepath.Join(e.dir, "home") }
func (e *Engine) cliPath() string   { return filepath.Join(e.dir, "bin", cliName) }
func (e *Engine) backend() string   { return filepath.Join(e.dir, "state") }
func (e *Engine) work() string      { return filepath.Join(e.dir, "work") }
func (e *Engine) tmp() string       { return filepath.Join(e.dir, "tmp") } // emptied at each start
func (e *Engine) stateRoot() string { return filepath.Join(e.backend(), ".pulumi") }

func (e *Engine) workDir(r *Run) string { return filepath.Join(e.work(), r.Project, r.Stack) }

func (e *Engine) statePath(r *Run) string {
	return filepath.Join(e.stateRoot(), "stacks", r.Project, r.Stack+".json")
}

// socketPrefix begins the names of our directories in the system's temporary one.
func (e *Engine) socketPrefix() string {
	sum := sha256.Sum256([]byte(e.dir))
	return "nimbus-pulumi-" + hex.EncodeToString(sum[:6]) + "-"
}

// removeSockets removes those that a killed appliance left.
func (e *Engine) removeSockets() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), e.socketPrefix()+"*")) // the pattern is good
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			e.log.Warn("a directory of an earlier run cannot be removed", "dir", dir, "error", err)
		}
	}
}

// locate settles where the engine's files and the binary are.
func (e *Engine) locate() error {
	dir, err := filepath.Abs(e.dir)
	if err != nil {
		return err
	}
	e.dir = dir
	if e.exe == "" {
		e.exe, err = os.Executable()
	}
	return err
}

// layOut makes the directories and links.
func (e *Engine) layOut() error {
	if err := os.RemoveAll(e.tmp()); err != nil {
		return err
	}
	plugin := filepath.Join(e.home(), "plugins", "resource-"+bridge.Name+"-v"+bridge.Version)
	for _, d := range []string{e.dir, plugin, filepath.Dir(e.cliPath()), e.backend(), e.work(), e.tmp()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := os.Chmod(e.dir, 0o700); err != nil {
		return err
	}
	if err := link(e.exe, e.cliPath()); err != nil {
		return err
	}
	return e.linkProviders()
}

// linkProviders points every version of the provider that a stack may still
// name, ours included, at the binary.
func (e *Engine) linkProviders() error {
	dirs, err := filepath.Glob(filepath.Join(e.home(), "plugins", "resource-"+bridge.Name+"-v*"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if info, err := os.Stat(d); err != nil || !info.IsDir() {
			continue // the CLI keeps files of its own beside
		}
		if err := link(e.exe, filepath.Join(d, providerName)); err != nil {
			return err
		}
	}
	return nil
}

// link makes path a symbolic link to target, replacing another one atomically.
func link(target, path string) error {
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
