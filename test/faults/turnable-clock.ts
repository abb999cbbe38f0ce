// Loaded before the server (node --import): its clock, which is Date.now, can be turned from outside. Each SIGUSR2 takes it
// to the next place, and says so.

const PLACES_MS = [90_000, 0, -90_000, 0]

const now = Date.now.bind(Date)
let aheadMs = 0
let turns = 0

Date.now = () => now() + aheadMs
process.on('SIGUSR2', () => {
  aheadMs = PLACES_MS[turns % PLACES_MS.length] ?? 0
  turns++
  process.stdout.write(`clock turned ${turns} times, is ahead by ${aheadMs} ms\n`)
})
