import ControlSurface
import Synchronization
import Testing

struct OpenedPartsTests {
    @Test("what was opened is closed in reverse")
    func order() async {
        let closed = Mutex<[Int]>([])
        var opened = OpenedParts()
        for number in 1...3 { opened.add { closed.withLock { $0.append(number) } } }
        await opened.close()
        #expect(closed.withLock { $0 } == [3, 2, 1])
    }
}
