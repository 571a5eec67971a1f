import Door
import JSONText
import Logging
import NIOCore

extension GatewayDataPath {
    /// Tells a machine to take no more calls and waits until its sessions are done, for `limit` at most. One that cannot be
    /// asked has nothing to finish.
    func drain(_ address: MachineAddress, app: String, within limit: Duration = .seconds(10), pause: Duration = .milliseconds(50)) async {
        let clock = ContinuousClock()
        let end = clock.now + limit
        do {
            guard try await ask(.drain, of: address, app: app).status == 202 else { return }
            while clock.now < end {
                let answer = try await ask(.stats, of: address, app: app)
                let stats = try JSONValue(parsing: answer.body.readableBytesSpan)
                guard let children = stats["children"]?.intValue, children > 0 else { return }
                try await Task.sleep(for: pause)
            }
        } catch {
            loops[0].run { $0.logger.info("an old machine was not drained", metadata: ["machine": "\(address.machine)", "error": "\(error)"]) }
        }
    }
}
