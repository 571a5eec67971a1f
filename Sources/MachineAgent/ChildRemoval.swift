import CLinux
import Glibc
import StdioBridge

/// The `kill` mode: removes what a child left, processes first, then files. It does so as the child's own uid, which is
/// the only one that may do either, and which nobody else ever has; what still runs as that uid cannot stop or end it.
enum ChildRemoval {
    /// Shorter than the patience of whoever waits for it.
    private static let seconds: time_t = 8

    /// Exits with 1, and a line that says where, if anything is left; with `outOfTime` when that is for want of time, so that trying
    /// again at once would be no better. The processes are gone in every case.
    static func run(uid: uid_t) -> Never {
        let result = clinux_act_for(uid, uid + ChildPlans.capacity, SharedFolders.removalGroup)
        if result < 0 { ChildShim.fail("kill: identity", -result) }
        // Descendants of any depth, group or session: no enumeration can miss one that is being forked. Twice, since a
        // process that was dying may still have written while its files were removed.
        let deadline = FileRemoval.now() + seconds
        var left: [String] = []
        for _ in 0..<2 {
            kill(-1, SIGKILL)
            left = SharedFolders.roots.filter { !FileRemoval(of: uid, in: $0, until: deadline).run() }
        }
        if left.isEmpty { exit(0) }
        let line = "berth-agent kill: files of uid \(uid) are left in \(left.joined(separator: ", "))\n"
        _ = write(2, line, line.utf8.count)
        exit(FileRemoval.now() < deadline ? 1 : SpawnPlan.Afterwards.outOfTime)
    }
}
