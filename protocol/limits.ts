/**
 * What a peer may ask of us, at most. Checked before anything is allocated in proportion to the input.
 * A frame's bytes bound its work; counts bound what is kept.
 */
export const limits = {
  /** Bytes of one frame, both directions (`maxPayload` of the WebSocket). */
  frameBytesMax: 1024 * 1024,
  /** Nesting of one frame's JSON. The deepest legal message has 6. */
  frameDepthMax: 12,
  /** Entries set or removed in one state frame; longer changes come in parts. So many of the largest fit a frame. */
  entriesPerFrameMax: 64,
  /** Entries in one peer's whole map (an instance of 10,000 sessions and its resources fits). */
  entriesMax: 32_768,
  /** Entries in a device's map: it has two, and a newer one may say a few more. */
  deviceEntriesMax: 64,
  /** Unsent bytes a connection may hold before it is cut: a peer that does not read is not served. */
  sendQueueBytesMax: 16 * 1024 * 1024,
  /** The same for one that is owed an attachment at most. There are very many of them. */
  deviceSendQueueBytesMax: 2 * 1024 * 1024,
  /** Bytes of a frame before the peer has proven who it is, and of a device's always. */
  strangerFrameBytesMax: 32 * 1024,
  /** How long a peer may take from the open connection to its accepted proof, ms. */
  proveWithinMs: 10_000,
  /** Instances in one active-active group (the product's limit). */
  instancesPerGroupMax: 64,
  /** Clock difference between a peer and the controller at enrolment, ms. */
  clockSkewMsMax: 5 * 60_000,
  /** Addresses used of one IPv6 range; the rest of a /80 is never touched. */
  addressesPerRangeMax: 65_536,
} as const;
