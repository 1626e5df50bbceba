package aliyun

// fifo is a queue on a slice. Popped elements are zeroed to free their memory, and append
// copies only the live part when it has to grow.
type fifo[T any] struct{ items []T }

func (q *fifo[T]) len() int { return len(q.items) }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

func (q *fifo[T]) front() T { return q.items[0] }

func (q *fifo[T]) popFront() T {
	var zero T
	v := q.items[0]
	q.items[0] = zero
	q.items = q.items[1:]
	return v
}

func (q *fifo[T]) popBack() T {
	var zero T
	last := len(q.items) - 1
	v := q.items[last]
	q.items[last] = zero
	q.items = q.items[:last]
	return v
}
