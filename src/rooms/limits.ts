/** Of the name to show, in characters as people count them. */
export const MAX_ROOM_NAME_CHARACTERS = 80
export const MAX_SLUG_LENGTH = 50
