//go:build race

package socketio

// raceDetector says that memory is not what it is.
const raceDetector = true
