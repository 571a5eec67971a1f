import JSONText
import NIOCore

/// The answers to an array of messages, collected until the last has come.
final class Batch {
    static let maximumCount = 100

    private let exchange: any FrontExchange
    private var pending: Int
    private var answers: [ByteBuffer] = []

    init(count: Int, exchange: any FrontExchange) {
        pending = count
        self.exchange = exchange
    }

    /// The elements of an array; `nil` when there are none or too many.
    static func messages(_ body: ByteBuffer) -> [ByteBuffer]? {
        let text = body.readableBytesSpan
        var messages: [ByteBuffer] = []
        do {
            var elements = JSONElements(of: JSONSpan(start: 0, end: body.readableBytes))
            while let element = try elements.next(in: text) {
                guard messages.count < maximumCount else { return nil }
                messages.append(body.slice(element))
            }
        } catch {
            return nil
        }
        return messages.isEmpty ? nil : messages
    }

    fileprivate func completed(_ answer: ByteBuffer?) {
        if let answer { answers.append(answer) }
        pending -= 1
        guard pending == 0 else { return }
        guard !answers.isEmpty else { return exchange.reply(status: 202, headers: [], body: nil) }
        var body = ByteBuffer(string: "[")
        for (index, answer) in answers.enumerated() {
            if index > 0 { body.writeStaticString(",") }
            body.writeImmutableBuffer(answer)
        }
        body.writeStaticString("]")
        exchange.reply(status: 200, headers: MCPFront.jsonHeaders, body: body)
    }
}

/// The exchange of one message of a batch: its answer goes into the array.
final class BatchPart: FrontExchange {
    private var batch: Batch?
    var onClientGone: (() -> Void)?
    var onResume: (() -> Void)?

    init(_ batch: Batch) {
        self.batch = batch
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        batch?.completed(body)
        batch = nil
    }

    func openStream() {}

    func event(_ data: ByteBuffer, id: String?) -> Demand { .more }

    func prime(id: String) {}

    func endpoint(_ uri: String) {}

    func closeStream() {
        batch?.completed(nil)
        batch = nil
    }
}
