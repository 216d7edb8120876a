package ledger

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that decompressing may take.
const maxWindow = 64 << 20

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// Plain returns what r holds, decompressed when it begins as zstd does (RFC
// 8878). The caller closes it.
func Plain(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	begin, err := in.Peek(len(zstdMagic))
	if err != nil || !bytes.Equal(begin, zstdMagic) {
		return io.NopCloser(in), nil
	}
	d, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
