import MCP
import NIOCore
import RemoteClient
import StdioBridge

/// What the machine's server tells: that it is up, lost, or does not come up.
extension HTTPSessions: HostedServer.Owner {
    /// Farewells are short: the machine may be waiting for its end.
    private static let farewell = TimeAmount.milliseconds(500)

    func conversation(at url: String?) -> RemoteServer? {
        guard let url, let address = RemoteAddress(url) else { return nil }
        var limits = RemoteServer.Limits()
        limits.farewell = Self.farewell
        let remote = RemoteServer(address, token: nil, limits: limits, pool: pool, eventLoop: eventLoop)
        remote.explain = { [weak hosted] decide in hosted?.explain(decide) ?? decide(nil) }
        remote.log = { [weak hosted] in hosted?.log($0) }
        // What the handshake has found out is not asked again.
        if self.limits.speaksHandshake { remote.prefer(.legacy) }
        if prober.remote?.era == .legacy { remote.know(.legacy) }
        return remote
    }

    func server(_ server: HostedServer, handshakeAt url: String, _ completion: @escaping (HostedServer.HandshakeOutcome) -> Void) {
        hasBrokenOff = false
        if prober.remote == nil {
            prober.flush { conversation(at: url) }
            prober.remote?.explain = { [weak self] decide in
                guard let self else { return decide(nil) }
                hasBrokenOff = true
                hosted.explain(decide)
            }
        }
        guard let remote = prober.remote else { return completion(.failed("the URL \(url) cannot be read", mayPass: false)) }
        remote.identity(declaring: nil) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let identity):
                self.identity = identity
                completion(.ready)
            case .failure(let why):
                let isBusy = remote.lastStatus.map { $0 >= 500 } ?? false
                let answer = remote.lastAnswer.flatMap { why.reason.contains($0) ? nil : $0 }
                completion(.failed(why.reason + (answer.map { " (\($0))" } ?? ""), mayPass: hasBrokenOff || isBusy))
            }
        }
    }

    func serverIsReady(_ server: HostedServer) {
        if let identity {
            let waiters = readiness
            readiness = []
            for waiter in waiters { waiter(.success(identity)) }
        }
        for session in [prober] + sessions.values where session.isWaiting { session.flush { conversation(at: server.url) } }
    }

    func serverIsLost(_ server: HostedServer, _ reason: String) {
        for session in [prober] + sessions.values + leaving.values { session.connectionLost(reason) }
    }

    func server(_ server: HostedServer, failedWaiting why: Undelivered) {
        let waiters = readiness
        readiness = []
        for waiter in waiters { waiter(.failure(why)) }
        for session in [prober] + sessions.values { session.failWaiting(why) }
    }

    func server(_ server: HostedServer, cleanedUp afterwards: SpawnPlan.Afterwards, completely: Bool) { onCleanedUp?(afterwards, completely) }
}
