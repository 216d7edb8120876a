package audit

import (
	"time"

	"nimbus/appliance/id"
)

// Publication is one place that a checkpoint was, or should be, published to.
type Publication struct {
	PlaceID id.ID
	Place   string
	At      *time.Time // nil: not yet
	Error   string
}
