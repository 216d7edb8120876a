package audit

import (
	"bufio"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
)

// exportMark is what is kept beside the files of an export, so that another
// worker goes on with them. What is in the files is on the disk before it.
type exportMark struct {
	Stream  StreamMark `json:"stream"`
	Content fileMark   `json:"content"`
	Proof   fileMark   `json:"proof"`   // of a table
	Columns int        `json:"columns"` // of a table
}

// fileMark is how much of a file is good, and the state of its hash.
type fileMark struct {
	Size int64  `json:"size"`
	Sum  []byte `json:"sum"`
}

// exportFiles are the files of an export while they grow.
type exportFiles struct {
	path    string
	content *growing
	proof   *growing          // of a table only
	table   *ledger.CSVWriter // nil for lines of JSON
	stream  io.Writer         // where the proof goes
	goOn    *StreamMark       // nil: from the beginning
}

// openExport opens the files where a worker before left them, or empty ones.
// It returns fault.Unavailable while another worker has them.
func openExport(path string, format ExportFormat) (*exportFiles, error) {
	var m exportMark
	text, err := os.ReadFile(path + ".mark")
	if err != nil || json.Unmarshal(text, &m) != nil {
		m = exportMark{}
	}
	if format == CSV && m.Columns != len(ledger.Columns) { // a version before began it with others
		m = exportMark{}
	}
	f, err := openExportAt(path, format, m)
	if errors.Is(err, errLost) {
		return openExportAt(path, format, exportMark{})
	}
	return f, err
}

func openExportAt(path string, format ExportFormat, m exportMark) (*exportFiles, error) {
	content, err := grow(path, m.Content)
	if err != nil {
		return nil, err
	}
	f := &exportFiles{path: path, content: content, stream: content}
	if m.Content.Size > 0 {
		f.goOn = &m.Stream
	}
	if format == CSV {
		err = f.openTable(m)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *exportFiles) openTable(m exportMark) (err error) {
	if f.proof, err = grow(f.path+".proof", m.Proof); err != nil {
		return err
	}
	f.stream = f.proof
	if f.goOn != nil {
		f.table = ledger.MoreCSV(f.content)
		return nil
	}
	f.table, err = ledger.NewCSVWriter(f.content)
	return err
}

// mark keeps the place in the stream once everything before it is on the disk.
func (f *exportFiles) mark(place Marker) error {
	m := exportMark{Columns: len(ledger.Columns)}
	var err error
	if m.Stream, err = place(); err != nil {
		return err
	}
	if m.Content, m.Proof, err = f.sync(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.Write(f.path+".mark", text)
}

func (f *exportFiles) sync() (content, proof fileMark, err error) {
	if f.table != nil {
		err = f.table.Flush()
	}
	if err == nil && f.proof != nil {
		proof, err = f.proof.sync()
	}
	if err == nil {
		content, err = f.content.sync()
	}
	return content, proof, err
}

// finish gives the files their names.
func (f *exportFiles) finish() error {
	if _, _, err := f.sync(); err != nil {
		return err
	}
	if f.proof != nil {
		if err := f.proof.rename(); err != nil {
			return err
		}
	}
	if err := f.forget(); err != nil {
		return err
	}
	return f.content.rename()
}

// forget has the next worker begin again.
func (f *exportFiles) forget() error {
	if err := os.Remove(f.path + ".mark"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// close leaves the files as they are.
func (f *exportFiles) close() {
	_ = f.content.file.Close()
	if f.proof != nil {
		_ = f.proof.file.Close()
	}
}

// growing is a file under another name until it is whole.
type growing struct {
	path string
	file *os.File
	out  *bufio.Writer
	sum  hash.Hash
	size int64
}

// errLost says that less is there than was kept.
var errLost = errors.New("the file is not there as it was kept")

// grow opens a file at a mark and takes it for this worker alone.
func grow(path string, m fileMark) (*growing, error) {
	file, err := os.OpenFile(path+".part", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	g := &growing{path: path, file: file, out: bufio.NewWriterSize(file, 256<<10), sum: sha256.New(), size: m.Size}
	if err := g.goTo(m); err != nil {
		_ = file.Close()
		return nil, err
	}
	return g, nil
}

func (g *growing) goTo(m fileMark) error {
	if err := syscall.Flock(int(g.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fault.Wrap(fault.Unavailable, err, "Another worker still writes this export.")
	}
	info, err := g.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < m.Size {
		return errLost
	}
	if m.Size > 0 {
		if err := g.sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.Sum); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	if err := g.file.Truncate(m.Size); err != nil {
		return err
	}
	_, err = g.file.Seek(m.Size, io.SeekStart)
	return err
}

// Write implements io.Writer.
func (g *growing) Write(p []byte) (int, error) {
	n, err := g.out.Write(p)
	g.sum.Write(p[:n])
	g.size += int64(n)
	return n, err
}

func (g *growing) sync() (fileMark, error) {
	if err := errors.Join(g.out.Flush(), g.file.Sync()); err != nil {
		return fileMark{}, err
	}
	sum, err := g.sum.(encoding.BinaryMarshaler).MarshalBinary()
	return fileMark{Size: g.size, Sum: sum}, err
}

func (g *growing) rename() error { return os.Rename(g.path+".part", g.path) }
