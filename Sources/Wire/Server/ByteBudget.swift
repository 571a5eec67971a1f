import Synchronization

/// Bytes that a server holds for its clients at a time, over all its loops: for each that pays for them, and in all.
final class ByteBudget: Sendable {
    /// Whose bound it is that would be passed.
    enum Shortage {
        case payer, total
    }

    private struct Held {
        var total = 0
        var perPayer: [String: Int] = [:]
    }

    let perPayer: Int
    let total: Int
    private let held = Mutex(Held())

    init(perPayer: Int, total: Int) {
        self.perPayer = perPayer
        self.total = total
    }

    /// Nothing need be counted.
    var isUnlimited: Bool { perPayer == .max && total == .max }

    /// What would be passed by so many bytes more.
    func shortage(of bytes: Int, payer: String) -> Shortage? {
        held.withLock { shortage($0, bytes, payer) }
    }

    /// Takes all of it or nothing.
    func take(_ bytes: Int, payer: String) -> Shortage? {
        held.withLock { held in
            if let shortage = shortage(held, bytes, payer) { return shortage }
            held.total += bytes
            held.perPayer[payer, default: 0] += bytes
            return nil
        }
    }

    func give(_ bytes: Int, payer: String) {
        held.withLock { held in
            held.total -= bytes
            let left = held.perPayer[payer, default: 0] - bytes
            held.perPayer[payer] = left > 0 ? left : nil
        }
    }

    /// What is held now, for tests.
    var heldBytes: Int { held.withLock { $0.total } }

    private func shortage(_ held: borrowing Held, _ bytes: Int, _ payer: String) -> Shortage? {
        if bytes > perPayer - held.perPayer[payer, default: 0] { return .payer }
        return bytes > total - held.total ? .total : nil
    }
}

/// What one connection has taken from a budget.
struct ByteCharge {
    private(set) var payer = ""
    private(set) var bytes = 0

    /// Takes or gives back what is missing to `bytes`; unchanged when that is too much.
    mutating func set(to bytes: Int, payer: String, in budget: ByteBudget) -> ByteBudget.Shortage? {
        if self.payer != payer {
            release(in: budget)
            self.payer = payer
        }
        if bytes > self.bytes {
            if let shortage = budget.take(bytes - self.bytes, payer: payer) { return shortage }
        } else if bytes < self.bytes {
            budget.give(self.bytes - bytes, payer: payer)
        }
        self.bytes = bytes
        return nil
    }

    mutating func release(in budget: ByteBudget) {
        if bytes > 0 { budget.give(bytes, payer: payer) }
        bytes = 0
    }
}
