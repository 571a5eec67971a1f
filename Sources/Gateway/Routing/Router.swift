import Logging
import MCP
import NIOCore

/// Finds the machine of a call's session and passes the call on; what could not be delivered because that machine is
/// gone goes once more, to the next one. What may have been delivered never does.
final class Router: MCPService {
    let eventLoop: any EventLoop
    let next: any MCPService
    private let search: PinSearch
    private let directory: DirectorySlot
    private let doors: Doors
    private let logger: Logger
    private var table = PinTable()
    private var waiting: [Int: RoutedCall] = [:]
    private var lastNumber = 0
    private var queue: WakeQueue
    /// How long a call waits for a machine.
    private let wakeTime: TimeAmount
    /// Told where a session that ended had machines.
    private let released: (_ session: String, _ connector: String, MachineAddress) -> Void

    init(
        next: any MCPService, search: PinSearch, directory: DirectorySlot, doors: Doors, wakeQueue: Int, wakeTime: TimeAmount,
        logger: Logger, released: @escaping (_ session: String, _ connector: String, MachineAddress) -> Void
    ) {
        eventLoop = next.eventLoop
        self.next = next
        self.search = search
        self.directory = directory
        self.doors = doors
        self.logger = logger
        self.released = released
        self.wakeTime = wakeTime
        queue = WakeQueue(limit: wakeQueue)
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context), let connector = record.connector else {
            sink.finish(.failed(Undelivered(.notDelivered, "the call names no connector")))
            return EndedCall()
        }
        lastNumber += 1
        let call = RoutedCall(
            router: self, number: lastNumber, key: .init(session: context.session.id, connector: connector.name), request: request,
            context: context, record: record, sink: sink)
        call.start()
        return call
    }

    /// The session is over: its pins leave memory and its machines are told.
    func end(session: String) {
        let (entries, actions) = table.end(session: session)
        for entry in entries { released(session, entry.pin.connector, entry.address) }
        perform(actions)
    }

    func forget(connector: String) {
        perform(table.forget(connector: connector))
    }

    // MARK: For calls

    /// The connector as it is now: an update may have come since the call was let in.
    func current(_ connector: Connector) -> Connector { directory.current.connectors[connector.name] ?? connector }

    func acquire(_ call: RoutedCall, connector: Connector) {
        waiting[call.number] = call
        perform(table.acquire(call.key, floor: connector.floor, waiter: call.number), connector: connector, principal: call.principal)
        // Warm sessions have gone on already.
        guard waiting[call.number] != nil else { return }
        guard queue.enter(connector.name, of: call.principal) else {
            waiting[call.number] = nil
            table.abandon(call.key, waiter: call.number)
            return call.fail(.queueFull)
        }
        call.limitWait(to: wakeTime)
    }

    /// The call waits no longer.
    private func take(_ number: Int) -> RoutedCall? {
        guard let call = waiting.removeValue(forKey: number) else { return nil }
        if call.endWait() { queue.leave(call.key.connector, of: call.principal) }
        return call
    }

    func abandon(_ call: RoutedCall) {
        _ = take(call.number)
        table.abandon(call.key, waiter: call.number)
    }

    func lost(_ call: RoutedCall, _ entry: PinTable.Entry, _ loss: DoorAnswer.Loss) {
        logger.notice(
            "machine lost",
            metadata: [
                "connector": "\(call.key.connector)", "machine": "\(entry.pin.machine)", "boot": "\(entry.pin.boot)", "reason": "\(loss.rawValue)",
            ])
        table.lost(call.key, epoch: entry.pin.epoch)
        doors.forget(entry.address)
    }

    func suspect(_ call: RoutedCall, _ entry: PinTable.Entry) {
        table.suspect(call.key, epoch: entry.pin.epoch)
    }

    // MARK: Actions

    private func perform(_ actions: [PinTable.Action], connector: Connector? = nil, principal: String = "") {
        for action in actions {
            switch action {
            case .proceed(let waiter, let entry, let moved): take(waiter)?.proceed(entry, moved: moved)
            case .fail(let waiter, let reason): take(waiter)?.fail(reason)
            case .search(let key, let ticket, let search):
                if let connector { start(search, key, ticket: ticket, connector, principal) }
            }
        }
    }

    private func start(_ kind: PinTable.Search, _ key: PinTable.Key, ticket: Int, _ connector: Connector, _ principal: String) {
        let search = search
        let found = eventLoop.makeFutureWithTask { try await search.run(kind, key, connector: connector, principal: principal) }
        found.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let found): perform(table.found(key, ticket: ticket, entry: found.entry, moved: found.moved))
            case .failure(let error):
                logger.error("no machine", metadata: ["connector": "\(key.connector)", "error": "\(error)"])
                perform(table.notFound(key, ticket: ticket, reason: NoMachine(explaining: error)))
            }
        }
    }
}

/// One call on its way to a machine.
final class RoutedCall: MCPCall, MCPSink {
    private static let maximumAttempts = 2

    let number: Int
    let key: PinTable.Key
    var principal: String { record.principal }
    private let router: Router
    private let request: MCPRequest
    private let context: CallContext
    private let record: CallRecord
    private var sink: (any MCPSink)?
    private var inner: (any MCPCall)?
    private var attempts = 0
    /// Of the machine that was lost on the way.
    private var lostEpoch: Int?
    private var isCancelled = false
    private var isWaiting = false
    private var waitTimer: Scheduled<Void>?

    init(
        router: Router, number: Int, key: PinTable.Key, request: MCPRequest, context: CallContext, record: CallRecord, sink: any MCPSink
    ) {
        self.router = router
        self.number = number
        self.key = key
        self.request = request
        self.context = context
        self.record = record
        self.sink = sink
    }

    func start() {
        attempts += 1
        acquire()
    }

    private func acquire() {
        guard let connector = record.connector.map(router.current) else { return }
        record.connector = connector
        isWaiting = true
        router.acquire(self, connector: connector)
    }

    /// It fails as not delivered when it has waited for so long; the search goes on for whoever comes next.
    func limitWait(to time: TimeAmount) {
        waitTimer = router.eventLoop.assumeIsolated().scheduleTask(in: time) { [self] in
            router.abandon(self)
            fail(.late(time.nanoseconds / 1_000_000_000))
        }
    }

    /// - Returns: whether it had begun to wait.
    func endWait() -> Bool {
        guard let timer = waitTimer else { return false }
        timer.cancel()
        waitTimer = nil
        return true
    }

    func cancel() {
        guard !isCancelled, sink != nil else { return }
        isCancelled = true
        if isWaiting {
            router.abandon(self)
            return end(.failed(Undelivered(.notDelivered, "cancelled")))
        }
        inner?.cancel()
    }

    func resume() { inner?.resume() }

    // MARK: From the router

    func proceed(_ entry: PinTable.Entry, moved: Bool) {
        isWaiting = false
        guard sink != nil else { return }
        record.pin = entry
        record.loss = nil
        // Where another call of the session found the new machine first, the session has moved all the same.
        if moved || lostEpoch.map({ $0 != entry.pin.epoch }) ?? false { record.isRepinned = true }
        // The connector was updated while the call waited: this machine is about to go, and another one is there.
        if let connector = record.connector.map(router.current), connector.floor > entry.generation { return acquire() }
        let attempt = attempts
        let call = router.next.call(request, in: context, sink: self)
        // It may have ended, or failed and begun anew, before it was returned.
        guard sink != nil, !isWaiting, attempts == attempt else { return }
        inner = call
        if isCancelled { call.cancel() }
    }

    func fail(_ reason: NoMachine) {
        isWaiting = false
        end(.failed(reason.undelivered))
    }

    // MARK: MCPSink

    func notification(_ message: ByteBuffer) -> Demand { sink?.notification(message) ?? .more }

    func finish(_ outcome: consuming MCPOutcome) {
        inner = nil
        switch outcome {
        case .failed(let undelivered): failed(undelivered)
        case .result(let result): end(.result(record.isRepinned ? RestartMark.added(to: result) : result))
        case .error(let error): end(.error(error))
        }
    }

    private func failed(_ undelivered: Undelivered) {
        guard let entry = record.pin, let loss = record.loss else { return end(.failed(undelivered)) }
        guard undelivered.kind == .notDelivered else {
            router.suspect(self, entry)
            return end(.failed(undelivered))
        }
        if loss == .suspended {
            // The same boot runs on: asking for it wakes it.
            router.suspect(self, entry)
        } else {
            router.lost(self, entry, loss)
            lostEpoch = entry.pin.epoch
        }
        guard attempts < Self.maximumAttempts, !isCancelled else {
            var last = undelivered
            last.code = last.code ?? loss.code
            last.retryAfterSeconds = last.retryAfterSeconds ?? 1
            return end(.failed(last))
        }
        start()
    }

    private func end(_ outcome: consuming MCPOutcome) {
        guard let sink else { return }
        self.sink = nil
        inner = nil
        sink.finish(outcome)
    }
}
