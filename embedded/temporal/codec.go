package temporal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// Metadata of an encrypted payload.
const (
	encodingKey  = "encoding"
	encrypted    = "binary/encrypted"
	keyIDKey     = "encryption-key-id"
	associated   = "nimbus/temporal/payload/1:" // with the key's id, authenticated
	keyringLimit = 10 * time.Second
)

// Keyring holds the keys of the payloads, each of 32 bytes. Old ones have to stay as long
// as workflows that were encrypted with them.
type Keyring interface {
	// Current returns the key to encrypt with and its id.
	Current(ctx context.Context) (id string, key []byte, err error)
	// Key returns the key with that id.
	Key(ctx context.Context, id string) ([]byte, error)
}

// Codec encrypts payloads with AES-256-GCM, a random nonce for each. Make it with NewCodec.
type Codec struct{ keys Keyring }

var _ converter.PayloadCodec = (*Codec)(nil)

// NewCodec returns a codec with the keys of that ring.
func NewCodec(keys Keyring) *Codec { return &Codec{keys} }

// Converters returns what Options need to keep parameters, results, signals, queries,
// memos, heartbeats and the texts of errors from the database's readers.
func Converters(keys Keyring) (converter.DataConverter, converter.FailureConverter) {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), NewCodec(keys))
	failure := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: data, EncodeCommonAttributes: true,
	})
	return data, failure
}

// Encode implements converter.PayloadCodec.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keyringLimit)
	defer cancel()
	id, key, err := c.keys.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("key for payloads: %w", err)
	}
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if sealed[i], err = seal(p, id, key); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

// Decode implements converter.PayloadCodec. Payloads that are not encrypted, such as the
// server's own, pass.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keyringLimit)
	defer cancel()
	opened := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[encodingKey]) != encrypted {
			opened[i] = p
			continue
		}
		id := string(p.GetMetadata()[keyIDKey])
		key, err := c.keys.Key(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("key %q of a payload: %w", id, err)
		}
		if opened[i], err = open(p, id, key); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

func seal(p *commonpb.Payload, id string, key []byte) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(p)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(nonce) // never fails, see crypto/rand
	return &commonpb.Payload{
		Metadata: map[string][]byte{encodingKey: []byte(encrypted), keyIDKey: []byte(id)},
		Data:     aead.Seal(nonce, nonce, plain, []byte(associated+id)),
	}, nil
}

func open(p *commonpb.Payload, id string, key []byte) (*commonpb.Payload, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if len(p.GetData()) < aead.NonceSize() {
		return nil, errors.New("an encrypted payload is too short")
	}
	nonce, sealed := p.GetData()[:aead.NonceSize()], p.GetData()[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, sealed, []byte(associated+id))
	if err != nil {
		return nil, fmt.Errorf("a payload cannot be decrypted with key %q: it was changed, or the key is another one", id)
	}
	opened := &commonpb.Payload{}
	return opened, proto.Unmarshal(plain, opened)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("a payload key has %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
