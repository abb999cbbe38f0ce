import { describe, expect, it } from 'vitest'
import { box, mp3, mp4, wav } from '../../test/support/media-samples.ts'
import { bytesInMemory } from '../../test/support/object-bytes.ts'
import { inspectMedia } from './inspect-media.ts'

const NOTHING = { durationMs: null, width: null, height: null, hasPicture: null }

describe('inspectMedia', () => {
  it('tells how long a sound is', async () => {
    expect(await inspectMedia(bytesInMemory(wav(7)), 'audio/wav')).toMatchObject({ durationMs: 7000, width: null })
    const { durationMs } = await inspectMedia(bytesInMemory(mp3(100)), 'audio/mpeg')
    expect(durationMs).toBeGreaterThan(2500)
    expect(durationMs).toBeLessThan(2700)
  })

  it('tells how long a film is, and that it has a picture', async () => {
    const facts = await inspectMedia(bytesInMemory(mp4({ seconds: 5, hasSound: true })), 'video/mp4')
    expect(facts).toEqual({ durationMs: 5000, width: 640, height: 360, hasPicture: true })
  })

  it('tells a sound in the clothes of a film', async () => {
    const facts = await inspectMedia(bytesInMemory(mp4({ seconds: 5, hasSound: true, hasPicture: false })), 'video/mp4')
    expect(facts).toEqual({ durationMs: 5000, width: null, height: null, hasPicture: false })
  })

  it('reads little of a large film whose index stands at its end', async () => {
    const film = bytesInMemory(mp4({ seconds: 5, dataBytes: 40_000_000 }))
    expect(await inspectMedia(film, 'video/mp4')).toMatchObject({ durationMs: 5000 })
    expect(film.bytesRead).toBeLessThan(1_000_000)
  })

  it('gives up where it would have to read too much, and leaves the event loop its turns', async () => {
    const tiny = box('free')
    const film = bytesInMemory(
      Buffer.concat([mp4().subarray(0, 32), ...Array.from({ length: 1_200_000 }, () => tiny), mp4().subarray(32)]),
    )
    let turns = 0
    const count = () => {
      turns++
      timer = setImmediate(count)
    }
    let timer = setImmediate(count)
    expect(await inspectMedia(film, 'video/mp4')).toEqual(NOTHING)
    clearImmediate(timer)
    expect(film.bytesRead).toBeLessThan(9_000_000)
    expect(turns).toBeGreaterThan(100)
  })

  it('says nothing of what is broken', async () => {
    const film = mp4()
    for (const type of ['video/mp4', 'audio/mpeg', 'audio/flac', 'audio/ogg', 'video/webm', 'audio/wav', 'audio/aac']) {
      expect(await inspectMedia(bytesInMemory(Buffer.alloc(5000, 3)), type)).toMatchObject({ durationMs: null })
      expect(await inspectMedia(bytesInMemory(Buffer.alloc(0)), type)).toMatchObject({ durationMs: null })
    }
    for (let length = 0; length < film.length; length += 50) {
      await inspectMedia(bytesInMemory(film.subarray(0, length)), 'video/mp4')
    }
  })

  it('passes on what its caller aborts', async () => {
    await expect(inspectMedia(bytesInMemory(mp4()), 'video/mp4', AbortSignal.abort(new Error('stop')))).rejects.toThrow(
      'stop',
    )
  })
})
