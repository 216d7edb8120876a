package audit

import (
	"context"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/id"
)

// healChunk is how many tiles of a level one transaction makes at most.
const healChunk = 2048

// keepTiles writes the full tiles that a chain of that size should have and
// does not: those that the newest records filled, and all of them for a chain
// that is older than tiles. It reports whether it is done: an old chain takes
// more than one transaction.
func (s *Service) keepTiles(ctx context.Context, size int64) (done bool, err error) {
	full := size / ledger.TileWidth
	for level := 0; full > 0; level++ {
		have, err := s.store.tileCount(ctx, level)
		if err != nil {
			return false, err
		}
		upTo := min(full, have+healChunk)
		if have < upTo {
			if err := s.addTiles(ctx, level, have, upTo); err != nil {
				return false, err
			}
		}
		if upTo < full {
			return false, nil
		}
		full /= ledger.TileWidth
	}
	return true, nil
}

// addTiles makes tiles of a level. One below which something is missing or
// damaged is left out: the chain goes on, and a verification tells it.
func (s *Service) addTiles(ctx context.Context, level int, from, to int64) error {
	if level == 0 {
		return s.store.tileLeaves(ctx, from, to)
	}
	for number := from; number < to; number++ {
		first := uint64(number) * ledger.TileWidth
		below, err := s.store.tiles(ctx, uint(level-1), first, first+ledger.TileWidth-1)
		if err != nil {
			return err
		}
		hashes := roots(below, first)
		if hashes == nil {
			continue
		}
		if err := s.store.addTile(ctx, level, number, hashes); err != nil {
			return err
		}
	}
	return nil
}

// roots are those of as many tiles as a tile has nodes, from the first on; nil
// when one of them is missing or damaged.
func roots(tiles map[uint64][]byte, first uint64) []byte {
	hashes := make([]byte, 0, ledger.TileWidth*len(Hash{}))
	for n := first; n < first+ledger.TileWidth; n++ {
		root, err := ledger.TileNode(tiles[n], 8, 0)
		if err != nil {
			return nil
		}
		hashes = append(hashes, root[:]...)
	}
	return hashes
}

// heal makes the missing tiles of a chain, once in the life of the process.
func (s *Service) heal(ctx context.Context, tenant id.ID) error {
	if _, healed := s.healed.Load(tenant); healed {
		return nil
	}
	for done := false; !done; {
		err := s.in(ctx, tenant, func(ctx context.Context) error {
			if err := s.store.lock(ctx); err != nil {
				return err
			}
			size, _, _, err := s.store.head(ctx)
			if err != nil {
				return err
			}
			done, err = s.keepTiles(ctx, size)
			return err
		})
		if err != nil {
			return err
		}
	}
	s.healed.Store(tenant, true)
	return nil
}
