/** Items of a stream that stand in no log. `seq` is where the stream stands after them. */
export type StreamMark = { type: 'CaughtUp'; seq: number } | { type: 'ResyncRequired'; seq: number; fromSeq: number }
