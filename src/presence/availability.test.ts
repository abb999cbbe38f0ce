import { expect, it } from 'vitest'
import { Availability } from './availability.ts'

function open({ settleMs = 1 } = {}) {
  const clock = { nowMs: 1_000, now: () => clock.nowMs }
  const seen: (Date | null)[] = []
  const renewals: PromiseWithResolvers<void>[] = []
  const availability = new Availability({
    clock,
    settleMs,
    renew: () => {
      const renewal = Promise.withResolvers<void>()
      renewals.push(renewal)
      return renewal.promise
    },
    onChange: () => seen.push(availability.lostAt),
  })
  return { clock, seen, renewals, availability }
}

const AT = new Date(1_000)

it('is unknown from a loss until this node has written its leases again and the others have had their time', async () => {
  const { clock, seen, renewals, availability } = open()
  expect(availability.lostAt).toBe(null)
  availability.lost()
  clock.nowMs += 5_000
  availability.lost()
  availability.returned()
  // While they settle, answers change nothing.
  availability.answered()
  expect([seen, renewals.length]).toEqual([[AT], 1])
  renewals[0]?.resolve()
  await expect.poll(() => seen).toEqual([AT, null])
  availability.answered()
  expect([seen.length, renewals.length]).toEqual([2, 1])
  availability.close()
})

it('begins anew when it is lost again before all have settled', async () => {
  const { seen, renewals, availability } = open()
  availability.returned()
  // As when the renewal fails.
  availability.lost()
  renewals[0]?.resolve()
  availability.answered()
  expect(renewals.length).toBe(2)
  expect(availability.lostAt).toEqual(AT)
  renewals[1]?.resolve()
  await expect.poll(() => seen).toEqual([AT, null])
  availability.close()
})

it('counts a new connection as a loss, though nobody had noticed one', () => {
  const { seen, availability } = open({ settleMs: 60_000 })
  availability.returned()
  expect(seen).toEqual([AT])
  availability.close()
  availability.lost()
  expect(seen).toEqual([AT])
})
