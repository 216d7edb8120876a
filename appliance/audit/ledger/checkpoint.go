package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Checkpoint is a signed statement of a chain's head (C2SP tlog-checkpoint):
// after size records the root of the tree was this one.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
	Note   string // as signed
	Key    Key    // that signed it; zero when it was not verified
}

// ErrCheckpoint says that a text is not a checkpoint.
var ErrCheckpoint = errors.New("it is not a checkpoint: three lines with origin, size and root are wanted")

// Text is what is signed.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// SignCheckpoint returns the checkpoint with its note.
func SignCheckpoint(ctx context.Context, c Checkpoint, key Key, sign SignFunc) (Checkpoint, error) {
	signed, err := SignNote(ctx, c.Text(), c.Origin, key, sign)
	c.Note, c.Key = signed, key
	return c, err
}

// ReadCheckpoint reads a checkpoint without looking at its signatures.
func ReadCheckpoint(signed string) (Checkpoint, error) {
	text, _, _ := strings.Cut(signed, "\n\n")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 || lines[0] == "" {
		return Checkpoint{}, ErrCheckpoint
	}
	size, err := strconv.ParseUint(lines[1], 10, 62)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || err2 != nil || len(root) != len(Hash{}) || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, ErrCheckpoint
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: Hash(root), Note: signed}, nil
}

// OpenCheckpoint reads a checkpoint that one of the keys signed for the origin
// it names; else ErrCheckpoint, ErrUnsigned, ErrForeign or ErrSignature.
func OpenCheckpoint(signed string, keys Keys) (Checkpoint, error) {
	c, err := ReadCheckpoint(signed)
	if err != nil {
		return c, err
	}
	_, c.Key, err = openNote(signed, c.Origin, keys)
	return c, err
}
