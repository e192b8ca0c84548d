/** Percent-encoded text as it was; a `%` that encodes nothing stands for itself. */
export const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
