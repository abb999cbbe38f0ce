// The texts of the messages: 100 characters each, with the number of the message as their mark.

const LENGTH = 100
export const MESSAGE_MARK = /(\d{8}) y{40}/
let lastNumber = 0

export function nextMessage(): { number: number; text: string } {
  lastNumber++
  return { number: lastNumber, text: `${String(lastNumber).padStart(8, '0')} `.padEnd(LENGTH, 'y') }
}
