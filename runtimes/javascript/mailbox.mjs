// Messages that came for a run, kept until a call takes them.

/** The messages of one run in the hands of one claim. */
export class Mailbox {
  /** The number of the last message that was read. */
  read = 0;
  #spent;
  #kept = new Map();

  /** `spent` holds the numbers of messages that the journal tells of already. */
  constructor(spent) {
    this.#spent = spent;
  }

  /** Keep message `number`. */
  put(number, message) {
    this.read = number;
    if (this.#spent.has(number)) return;
    const address = addressOf(message);
    if (!this.#kept.has(address)) this.#kept.set(address, []);
    this.#kept.get(address).push({ number, message });
  }

  /** Take the first message of that type for that name or key: `{number, message}`, or undefined. */
  take(type, to) {
    return this.#kept.get(`${type} ${to}`)?.shift();
  }
}

function addressOf({ type, name, key }) {
  return `${type} ${type === "signal" ? name : key}`;
}
