import NIOCore
import NIOPosix

/// Connects to a port of the loopback device again and again, until somebody takes the connection. Confined to its loop.
final class PortWatch {
    private static let addresses = ["127.0.0.1", "::1"]
    private static let pause = TimeAmount.milliseconds(50)
    private static let longestPause = TimeAmount.milliseconds(250)

    private let port: Int
    private let loop: any EventLoop
    private let found: (_ host: String) -> Void
    private var timer: Scheduled<Void>?
    private var isOver = false
    private var pause = PortWatch.pause

    /// - Parameter found: called once, unless it is cancelled.
    init(port: Int, loop: any EventLoop, found: @escaping (_ host: String) -> Void) {
        self.port = port
        self.loop = loop
        self.found = found
    }

    func start() { look(at: Self.addresses[...]) }

    func cancel() {
        isOver = true
        timer?.cancel()
        timer = nil
    }

    private func look(at addresses: ArraySlice<String>) {
        if isOver { return }
        guard let host = addresses.first else { return wait() }
        // A numeric address never goes through the resolver, which a static executable does not have.
        guard let address = try? SocketAddress(ipAddress: host, port: port) else { return look(at: addresses.dropFirst()) }
        let this = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop).connectTimeout(.seconds(1)).connect(to: address).whenComplete { result in
            let watch = this.value
            guard case .success(let channel) = result else { return watch.look(at: addresses.dropFirst()) }
            channel.close(promise: nil)
            if watch.isOver { return }
            watch.isOver = true
            watch.found(host)
        }
    }

    private func wait() {
        let this = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleTask(in: pause) { this.value.look(at: Self.addresses[...]) }
        pause = min(pause * 2, Self.longestPause)
    }
}
